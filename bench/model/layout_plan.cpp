#include "bench/model/layout_plan.h"

#include <memory>
#include <vector>

namespace trireme::model {
namespace {

PersistentParts parts_of(const Trainer& trainer, int64_t persistent_bytes) {
  PersistentParts parts;
  const int dp = trainer.groups.mesh.dp;
  const parallel::UnitMemoryOptions options{.zero_stage = trainer.execution.zero_stage};
  for (const Unit& unit : trainer.units) {
    const parallel::UnitMemory& memory = unit.memory;
    const int stage =
        parallel::zero_stage_of({.elements = unit.layout.elements, .rotates = unit.is_layer}, options, dp);
    parts.parameters += (stage == 3 ? memory.parameter_part : memory.parameters).bytes();
    parts.gradients += (stage >= 2 ? memory.gradient_part : memory.gradients).bytes();
    parts.optimizer += memory.exp_avg.bytes() + memory.exp_avg_sq.bytes();
    if (memory.has_own_masters()) parts.optimizer += memory.masters.bytes();
  }
  for (const auto* views : {&trainer.pipeline.buffers.inputs, &trainer.pipeline.buffers.gradients}) {
    for (const runtime::View& view : *views) parts.pipeline += view.bytes();
  }
  parts.rest = persistent_bytes - parts.parameters - parts.gradients - parts.optimizer - parts.pipeline;
  return parts;
}

std::vector<std::pair<std::string, const runtime::Communicator*>> groups_by_axis(const parallel::MeshGroups& groups) {
  return {{"tp", groups.tp.get()},         {"dp", groups.dp.get()},          {"pp", groups.pp.get()},
          {"pp", groups.pp_forward.get()}, {"pp", groups.pp_backward.get()}, {"tied", groups.tied.get()}};
}

}  // namespace

SentBytes sent_bytes(const parallel::MeshGroups& groups) {
  SentBytes sent;
  for (const auto& [axis, group] : groups_by_axis(groups)) {
    for (const auto& [op, total] : group->totals()) sent[axis] += total.bytes;
  }
  return sent;
}

SentBytes difference(const SentBytes& after, const SentBytes& before) {
  SentBytes sent = after;
  for (const auto& [axis, bytes] : before) sent[axis] -= bytes;
  return sent;
}

RankPlan plan_rank(const Layout& layout, int rank) {
  runtime::Stream stream = runtime::Stream::dry_for(layout.execution.device);
  parallel::MeshGroups groups = parallel::dry_groups(layout.mesh, rank);
  runtime::Memory memory =
      runtime::Memory::dry(slot_counts(layout.execution, layout.mesh, layout.shape.microbatches, groups.at.pp));
  const auto trainer = make_trainer(layout.config, Purpose::training, layout.execution, stream, memory, groups);
  trainer->shards.parameters_changed();
  const SentBytes before = sent_bytes(groups);
  stream.clear_costs();
  const std::vector<HostMicrobatch> microbatches(static_cast<size_t>(layout.shape.microbatches),
                                                 {.B = layout.shape.B, .T = layout.shape.T});
  train_step(*trainer, microbatches, {});
  RankPlan plan{.at = groups.at,
                .memory = memory.used(),
                .persistent = parts_of(*trainer, memory.used().persistent_bytes),
                .staging_bytes = 0,
                .sent = difference(sent_bytes(groups), before),
                .flops = stream.costs().sum().flops};
  for (const auto& [axis, group] : groups_by_axis(groups)) plan.staging_bytes += group->staging_bytes();
  return plan;
}

}  // namespace trireme::model
