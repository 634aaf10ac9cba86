#include "model/stage_plans.h"

#include <algorithm>
#include <utility>

#include "model/step_recorder.h"

namespace trireme::model {
namespace {

using parallel::Action;
using parallel::ActionKind;
using parallel::ScheduleKind;
using parallel::ScheduleSpec;
using parallel::StepRecord;

int64_t aligned(int64_t bytes) {
  constexpr int64_t kAlignment = runtime::Arena::kAlignmentBytes;
  return (bytes + kAlignment - 1) / kAlignment * kAlignment;
}

/// Forward and backward in turn, as the middle of a step of 1F1B and ZB-H1 is.
std::vector<Action> in_turn(int microbatches, bool splits_backward) {
  std::vector<Action> actions;
  for (int i = 0; i < microbatches; ++i) {
    actions.push_back({.kind = ActionKind::forward, .microbatch = i});
    if (splits_backward) {
      actions.push_back({.kind = ActionKind::backward_input, .microbatch = i});
      actions.push_back({.kind = ActionKind::backward_weight, .microbatch = i});
    } else {
      actions.push_back({.kind = ActionKind::backward, .microbatch = i});
    }
  }
  return actions;
}

/// Records a chunk as it is among others: their layers pass through ZeRO's buffers between its actions.
class AmongOthers : public StepRecorder {
 public:
  AmongOthers(Trainer& trainer, bool is_alone, size_t records)
      : StepRecorder(trainer.stream, trainer.groups, 1, records), shards_(trainer.shards), is_alone_(is_alone) {}

  void begin(const StepPart& part) override {
    if (!is_alone_) shards_.forget_passing();
    StepRecorder::begin(part);
  }

 private:
  parallel::UnitShards& shards_;
  bool is_alone_;
};

/// How often each of the recorded microbatches happens in a step: the last but one stands for those that were left out.
std::vector<int64_t> repeats(size_t recorded, int64_t microbatches) {
  std::vector<int64_t> times(recorded, 0);
  times.back() = 1;
  if (recorded == 1) return times;
  int64_t others = microbatches - 1;
  for (size_t i = 0; i + 2 < recorded; ++i, --others) times[i] = 1;
  times[recorded - 2] = others;
  return times;
}

}  // namespace

ModelCuts all_cuts(const ModelConfig& config, int64_t tokens) {
  ModelCuts cuts(1);
  for (int chunks = 1; chunks <= config.layers; ++chunks) {
    cuts.push_back(cut_model(config, {.count = chunks, .chunks = 1, .tokens = tokens}));
  }
  return cuts;
}

StagePlans::StagePlans(StepLayout like, const ModelCuts& cuts) : like_(std::move(like)), cuts_(cuts) {}

ScheduleSpec StagePlans::spec_of(const Pipelining& pipelining) const {
  return {.kind = pipelining.schedule,
          .stages = like_.mesh.pp,
          .chunks = pipelining.chunks,
          .microbatches = static_cast<int>(like_.shape.microbatches)};
}

StageMemory StagePlans::memory(const Pipelining& pipelining, int stage) {
  const ScheduleSpec spec = spec_of(pipelining);
  const std::vector<ChunkKind> chunks = chunks_of(spec, stage);
  const ChunkRun& whole = run_of(joined(chunks));
  const std::vector<Action> actions = parallel::make_schedule(spec, stage);
  const parallel::BufferCounts buffers = parallel::buffer_counts(spec, stage, actions);
  StageMemory result{
      .memory = {.persistent_bytes = whole.persistent_bytes + (buffers.inputs + buffers.gradients) * whole.buffer_bytes,
                 .slots = {},
                 .scratch_bytes = whole.scratch_bytes},
      .staging_bytes = whole.staging_bytes};
  for (size_t i = 0; i < chunks.size(); ++i) {
    const ChunkRun& chunk = run_of(chunks[i]);
    result.memory.slots.push_back(
        {.bytes = chunk.slot_bytes, .count = parallel::peak_in_flight(actions, static_cast<int>(i))});
    result.memory.scratch_bytes = std::max(result.memory.scratch_bytes, chunk.scratch_bytes);
  }
  return result;
}

std::vector<const StepRecord*> StagePlans::records(const Pipelining& pipelining) {
  const ScheduleSpec spec = spec_of(pipelining);
  records_.clear();
  std::vector<const StepRecord*> all;
  for (int stage = 0; stage < spec.stages; ++stage) {
    const std::vector<ChunkKind> chunks = chunks_of(spec, stage);
    auto known = records_.find(chunks);
    if (known == records_.end()) known = records_.emplace(chunks, record_of(chunks)).first;
    all.push_back(&known->second);
  }
  return all;
}

std::vector<StagePlans::ChunkKind> StagePlans::chunks_of(const ScheduleSpec& spec, int stage) const {
  const std::vector<ChunkPlace>& places = cuts_.at(static_cast<size_t>(spec.stages * spec.chunks));
  std::vector<ChunkKind> chunks;
  for (int chunk = 0; chunk < spec.chunks; ++chunk) {
    const ChunkPlace& place = places[static_cast<size_t>(chunk * spec.stages + stage)];
    chunks.push_back({.layers = place.layers,
                      .is_first = place.is_first,
                      .is_last = place.is_last,
                      .splits_backward = spec.kind == ScheduleKind::zb_h1,
                      .is_alone = spec.chunks == 1 || like_.execution.zero_stage < 3});
  }
  return chunks;
}

/// What holds the same layers in one chunk.
StagePlans::ChunkKind StagePlans::joined(const std::vector<ChunkKind>& chunks) {
  ChunkKind whole{.splits_backward = chunks.front().splits_backward};
  for (const ChunkKind& chunk : chunks) {
    whole.layers += chunk.layers;
    whole.is_first = whole.is_first || chunk.is_first;
    whole.is_last = whole.is_last || chunk.is_last;
  }
  return whole;
}

const StagePlans::ChunkRun& StagePlans::run_of(const ChunkKind& kind) {
  const auto known = runs_.find(kind);
  return known != runs_.end() ? known->second : runs_.emplace(kind, run(kind)).first->second;
}

StagePlans::ChunkRun StagePlans::run(const ChunkKind& kind) {
  Execution execution = like_.execution;
  execution.schedule = kind.splits_backward ? ScheduleKind::zb_h1 : ScheduleKind::one_f_one_b;
  execution.virtual_stages = 1;
  runtime::Stream stream = runtime::Stream::dry_for(execution.device);
  runtime::Memory memory = runtime::Memory::dry();
  parallel::MeshGroups& groups = groups_for(kind);
  const auto trainer =
      make_trainer(like_.config, Purpose::training, execution, stream, memory, groups,
                   {{.first_layer = 0, .layers = kind.layers, .is_first = kind.is_first, .is_last = kind.is_last}});
  trainer->shards.parameters_changed();
  ChunkRun run;
  run.persistent_bytes = memory.used().persistent_bytes;

  // At stages 2 and 3 a reduction may end in the next microbatch, and the first one finds no parameters there.
  const int64_t different = execution.zero_stage >= 2 ? 3 : 2;
  const auto microbatches = static_cast<int>(std::min(like_.shape.microbatches, different));
  trainer->pipeline.spec = {
      .kind = execution.schedule, .stages = groups.mesh.pp, .chunks = 1, .microbatches = microbatches};
  trainer->pipeline.actions = in_turn(microbatches, kind.splits_backward);
  const std::vector<HostMicrobatch> batch(
      static_cast<size_t>(microbatches),
      {.B = like_.shape.B, .T = like_.shape.T, .has_documents = like_.shape.has_documents});
  {
    AmongOthers recorder(*trainer, kind.is_alone, batch.size());
    trainer->observer = &recorder;
    train_step(*trainer, batch, like_.options);
    trainer->observer = nullptr;
    run.microbatches = recorder.finish();
  }
  add_loss(*trainer, batch.front());

  const runtime::MemoryPlan used = memory.used();
  run.buffer_bytes = aligned(trainer->pipeline.buffers.gradients.front().bytes());
  run.slot_bytes = used.slots.front().bytes;
  run.scratch_bytes = used.scratch_bytes;
  run.staging_bytes = staging_bytes(groups);
  return run;
}

/// A chunk that is neither first nor last needs neighbours on both sides, which two stages do not have: it is then run
/// in a pipeline of three.
parallel::MeshGroups& StagePlans::groups_for(const ChunkKind& kind) {
  parallel::Mesh mesh = like_.mesh;
  int stage = 0;
  if (!kind.is_first) stage = kind.is_last ? mesh.pp - 1 : 1;
  if (stage == 1 && !kind.is_last) mesh.pp = std::max(mesh.pp, 3);
  const std::pair key{mesh.pp, stage};
  const auto known = groups_.find(key);
  if (known != groups_.end()) return known->second;
  return groups_.emplace(key, parallel::dry_groups(mesh, stage * mesh.tp * mesh.dp, like_.messages)).first->second;
}

StepRecord StagePlans::record_of(const std::vector<ChunkKind>& chunks) {
  StepRecord record;
  for (const ChunkKind& kind : chunks) {
    const ChunkRun& chunk = run_of(kind);
    const std::vector<int64_t> times = repeats(chunk.microbatches.size(), like_.shape.microbatches);
    parallel::ChunkRecord& sum = record.chunks.emplace_back();
    for (size_t i = 0; i < times.size(); ++i) {
      const parallel::ChunkRecord& one = chunk.microbatches[i].chunks.front();
      add(sum.forward, one.forward, times[i]);
      add(sum.backward, one.backward, times[i]);
      add(sum.backward_input, one.backward_input, times[i]);
      add(sum.backward_weight, one.backward_weight, times[i]);
    }
    add(record.reduction, chunk.microbatches.front().reduction, 1);
  }
  const StepRecord& whole = run_of(joined(chunks)).microbatches.front();
  add(record.between, whole.between, 1);
  add(record.update, whole.update, 1);
  return record;
}

}  // namespace trireme::model
