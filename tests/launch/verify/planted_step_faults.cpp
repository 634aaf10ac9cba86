#include "tests/launch/verify/planted_step_faults.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "model/train_step.h"
#include "runtime/message_engine.h"

namespace trireme::tests {
namespace {

using Kind = PlantedFault::Kind;
using model::Trainer;
using runtime::View;

PlantedFault fault;                    // set before the ranks start
thread_local bool is_in_step = false;  // of a layout of several ranks

bool is_planted(Kind kind) {
  return fault.kind == kind;
}

bool is_last(const Trainer& trainer) {
  const parallel::MeshGroups& groups = trainer.groups;
  return groups.at.tp == groups.mesh.tp - 1 && groups.at.dp == groups.mesh.dp - 1 && groups.is_last_stage();
}

/// Calls `change` with the part of a range of owned elements that belongs to the parameter of the fault.
template <typename F>
void change_owned(Trainer& trainer, View parallel::UnitMemory::*range, F&& change) {
  for (model::Unit& unit : trainer.units) {
    const runtime::ElementRange owned = unit.memory.owned;
    for (const auto& [spec, offset] : unit.layout.parameters) {
      if (spec.name != fault.parameter) continue;
      const int64_t begin = std::max(offset, owned.begin);
      const int64_t end = std::min(offset + spec.box.elements(), owned.end);
      auto* values = (unit.memory.*range).as<float>();
      for (int64_t i = begin; i < end; ++i) change(values[i - owned.begin]);
    }
  }
}

void scale_gradient(Trainer& trainer) {
  const parallel::MeshGroups& groups = trainer.groups;
  if (groups.at.tp < groups.mesh.tp - 1 || groups.at.dp < groups.mesh.dp - 1) return;
  change_owned(trainer, &parallel::UnitMemory::gradient_part,
               [](float& value) { value = static_cast<float>(value * fault.scale); });
}

}  // namespace

FaultScope::FaultScope(const PlantedFault& planted) {
  fault = planted;
}

FaultScope::~FaultScope() {
  fault = {};
}

}  // namespace trireme::tests

// The functions as the program calls them, and as they are.
namespace {

using namespace trireme;
using namespace trireme::tests;
using model::StepResult;
using model::UpdateOptions;
using Microbatches = std::span<const model::HostMicrobatch>;
using Vote = std::function<int64_t()>;
using Units = std::vector<parallel::UnitMemory>;
using Chunks = std::vector<model::ChunkPlace>;

}  // namespace

extern "C" {

StepResult real_train_step(model::Trainer& trainer, Microbatches microbatches, const UpdateOptions& options,
                           const Vote& vote) asm("__real_" TRAIN_STEP);
StepResult planted_train_step(model::Trainer& trainer, Microbatches microbatches, const UpdateOptions& options,
                              const Vote& vote) asm("__wrap_" TRAIN_STEP);

void real_end_gradients(parallel::UnitShards* shards, size_t unit, bool last) asm("__real_" END_GRADIENTS);
void planted_end_gradients(parallel::UnitShards* shards, size_t unit, bool last) asm("__wrap_" END_GRADIENTS);

Units real_place_units(const std::vector<parallel::UnitSpec>& specs, const parallel::UnitMemoryOptions& options,
                       int rank, int dp, runtime::Arena& persistent) asm("__real_" PLACE_UNITS);
Units planted_place_units(const std::vector<parallel::UnitSpec>& specs, const parallel::UnitMemoryOptions& options,
                          int rank, int dp, runtime::Arena& persistent) asm("__wrap_" PLACE_UNITS);

parallel::ParameterSpec real_divide(const parallel::ParameterSpec& spec, int index, int parts) asm("__real_" DIVIDE);
parallel::ParameterSpec planted_divide(const parallel::ParameterSpec& spec, int index, int parts) asm("__wrap_" DIVIDE);

Chunks real_chunks(const model::ModelConfig& config, const model::Stages& stages, int stage) asm("__real_" CHUNKS);
Chunks planted_chunks(const model::ModelConfig& config, const model::Stages& stages, int stage) asm("__wrap_" CHUNKS);

void real_parameters_changed(parallel::UnitShards* shards) asm("__real_" PARAMETERS_CHANGED);
void planted_parameters_changed(parallel::UnitShards* shards) asm("__wrap_" PARAMETERS_CHANGED);

runtime::Pending real_start(runtime::MessageEngine* engine, runtime::MessageQueue& queue,
                            std::shared_ptr<runtime::MessageGroup> group, const runtime::CollectiveCall& call,
                            std::string_view op) asm("__real_" START);
runtime::Pending planted_start(runtime::MessageEngine* engine, runtime::MessageQueue& queue,
                               std::shared_ptr<runtime::MessageGroup> group, const runtime::CollectiveCall& call,
                               std::string_view op) asm("__wrap_" START);

StepResult planted_train_step(model::Trainer& trainer, Microbatches microbatches, const UpdateOptions& options,
                              const Vote& vote) {
  if (trainer.groups.mesh.world_size() == 1) return real_train_step(trainer, microbatches, options, vote);
  const Vote spoiled = [&] {
    if (is_planted(Kind::wrong_scale)) scale_gradient(trainer);
    return vote();
  };
  std::vector<model::HostMicrobatch> own(microbatches.begin(), microbatches.end());
  if (is_planted(Kind::swapped_targets) && is_last(trainer)) std::swap(own.at(0).targets, own.at(1).targets);
  is_in_step = true;
  const StepResult result = real_train_step(trainer, own, options, spoiled);
  is_in_step = false;
  if (is_planted(Kind::no_decay) && is_last(trainer)) {
    const double decay = options.learning_rate * options.weight_decay;
    change_owned(trainer, &parallel::UnitMemory::masters,
                 [decay](float& value) { value = static_cast<float>(value / (1 - decay)); });
  }
  return result;
}

void planted_end_gradients(parallel::UnitShards* shards, size_t unit, bool last) {
  if (is_planted(Kind::missing_reduction) && unit == fault.unit && last) return;
  real_end_gradients(shards, unit, last);
}

Units planted_place_units(const std::vector<parallel::UnitSpec>& specs, const parallel::UnitMemoryOptions& options,
                          int rank, int dp, runtime::Arena& persistent) {
  Units units = real_place_units(specs, options, rank, dp, persistent);
  if (is_planted(Kind::shifted_range) && dp > 1 && rank == 0) {
    units.at(fault.unit).owned.begin += 1;
    units.at(fault.unit).owned.end += 1;
  }
  return units;
}

parallel::ParameterSpec planted_divide(const parallel::ParameterSpec& spec, int index, int parts) {
  parallel::ParameterSpec divided = real_divide(spec, index, parts);
  if (is_planted(Kind::shifted_rows) && parts > 1 && index == 0 && spec.name == fault.parameter) {
    divided.box.start.front() += 1;
  }
  return divided;
}

Chunks planted_chunks(const model::ModelConfig& config, const model::Stages& stages, int stage) {
  Chunks chunks = real_chunks(config, stages, stage);
  if (is_planted(Kind::shifted_layers) && stages.count > 1 && stage == stages.count - 1) {
    chunks.front().first_layer -= 1;
  }
  return chunks;
}

void planted_parameters_changed(parallel::UnitShards* shards) {
  if (is_planted(Kind::late_copy) && is_in_step) return;
  real_parameters_changed(shards);
}

runtime::Pending planted_start(runtime::MessageEngine* engine, runtime::MessageQueue& queue,
                               std::shared_ptr<runtime::MessageGroup> group, const runtime::CollectiveCall& call,
                               std::string_view op) {
  const bool is_sum_of_gradients = group->ledger.group() == "tied" && op == "all_reduce";
  if (is_planted(Kind::missing_tied_sum) && is_sum_of_gradients) return {};
  return real_start(engine, queue, std::move(group), call, op);
}

}  // extern "C"
