#include "model/rank_plan.h"

#include <algorithm>
#include <memory>
#include <vector>

#include "model/step_recorder.h"

namespace trireme::model {
namespace {

using parallel::Action;
using parallel::ActionKind;
using parallel::ActionRecord;
using parallel::SentMessages;
using parallel::StepRecord;

PersistentParts parts_of(const Trainer& trainer, int64_t persistent_bytes) {
  PersistentParts parts;
  const int dp = trainer.groups.mesh.dp;
  const parallel::UnitMemoryOptions options{.zero_stage = trainer.execution.zero_stage,
                                            .lanes = trainer.execution.lanes};
  for (const Unit& unit : trainer.units) {
    const parallel::UnitMemory& memory = unit.memory;
    const parallel::UnitSpec spec{.elements = unit.layout.elements, .rotates = unit.is_layer};
    const bool has_all = parallel::zero_stage_of(spec, options, dp) < 3;
    const bool has_all_gradients = parallel::gradient_stage_of(spec, options, dp) < 2;
    parts.parameters += (has_all ? memory.parameters : memory.parameter_part).bytes();
    parts.gradients += (has_all_gradients ? memory.gradients : memory.gradient_part).bytes();
    for (const runtime::View& sum : memory.lane_sums) parts.gradients += sum.bytes();
    parts.optimizer += memory.exp_avg.bytes() + memory.exp_avg_sq.bytes();
    if (memory.has_own_masters()) parts.optimizer += memory.masters.bytes();
  }
  parts.gradients += trainer.tied_head.gradients.bytes();
  for (const runtime::View& sum : trainer.tied_head.lane_sums) parts.gradients += sum.bytes();
  for (const auto* views : {&trainer.pipeline.buffers.inputs, &trainer.pipeline.buffers.gradients}) {
    for (const runtime::View& view : *views) parts.pipeline += view.bytes();
  }
  parts.rest = persistent_bytes - parts.parameters - parts.gradients - parts.optimizer - parts.pipeline;
  return parts;
}

void add(SentMessages& to, const SentMessages& from) {
  for (const auto& [axis, ops] : from) {
    for (const auto& [op, total] : ops) {
      runtime::CommTotal& sum = to[axis][op];
      sum.calls += total.calls;
      sum.messages += total.messages;
      sum.bytes += total.bytes;
    }
  }
}

/// Fewer than 3 cannot stand for others: the first and the last may do what those between do not. Nor can those of a
/// reproducible step: the end of each lane adds another number of sums.
int64_t microbatches_to_run(const StepLayout& layout) {
  constexpr int64_t kFewest = 3;
  const int64_t all = layout.shape.microbatches;
  if (layout.execution.lanes > 0) return all;
  return layout.microbatches_run == 0 ? all : std::min(std::max(kFewest, layout.microbatches_run), all);
}

/// One microbatch after another, through all chunks and back: each but the first and the last then does the same.
std::vector<Action> in_turn(const parallel::ScheduleSpec& spec) {
  const bool split = spec.kind == parallel::ScheduleKind::zb_h1;
  std::vector<Action> actions;
  for (int microbatch = 0; microbatch < spec.microbatches; ++microbatch) {
    for (int chunk = 0; chunk < spec.chunks; ++chunk) actions.push_back({ActionKind::forward, chunk, microbatch});
    for (int chunk = spec.chunks; chunk-- > 0;) {
      actions.push_back({split ? ActionKind::backward_input : ActionKind::backward, chunk, microbatch});
      if (split) actions.push_back({ActionKind::backward_weight, chunk, microbatch});
    }
  }
  return actions;
}

/// The record of the whole step, from those of its microbatches, of which the second stands for all that were not run.
/// What passes from stage to stage is the same for each.
StepRecord whole_step(std::vector<StepRecord> records, int64_t all) {
  const auto run = static_cast<int64_t>(records.size());
  StepRecord whole = std::move(records.front());
  for (auto& [axis, ops] : whole.between.sent) {
    for (auto& [op, total] : ops) {
      for (int64_t* count : {&total.calls, &total.messages, &total.bytes}) *count = *count / run * all;
    }
  }
  for (size_t i = 1; i < records.size(); ++i) {
    const int64_t times = i == 1 ? 1 + all - run : 1;
    for (size_t chunk = 0; chunk < whole.chunks.size(); ++chunk) {
      const parallel::ChunkRecord& more = records[i].chunks[chunk];
      add(whole.chunks[chunk].forward, more.forward, times);
      add(whole.chunks[chunk].backward, more.backward, times);
      add(whole.chunks[chunk].backward_input, more.backward_input, times);
      add(whole.chunks[chunk].backward_weight, more.backward_weight, times);
    }
  }
  return whole;
}

void add_totals(const ActionRecord& record, RankPlan& plan) {
  add(plan.sent, record.sent);
  for (const runtime::OpProfile::Row& row : record.ops.rows()) {
    plan.flops += row.flops;
    plan.recomputed_flops += row.recomputed_flops;
  }
}

}  // namespace

SentMessages sent_messages(const parallel::MeshGroups& groups) {
  SentMessages sent;
  for (const auto& [axis, group] : groups_by_axis(groups)) {
    for (const auto& [op, total] : group->totals()) add(sent, {{axis, {{op, total}}}});
  }
  return sent;
}

/// Only what there is a difference in.
SentMessages difference(const SentMessages& after, const SentMessages& before) {
  SentMessages sent;
  for (const auto& [axis, ops] : after) {
    for (const auto& [op, total] : ops) {
      runtime::CommTotal more = total;
      if (const auto known = before.find(axis); known != before.end()) {
        if (const auto same = known->second.find(op); same != known->second.end()) {
          more.calls -= same->second.calls;
          more.messages -= same->second.messages;
          more.bytes -= same->second.bytes;
        }
      }
      if (more.calls > 0) sent[axis][op] = more;
    }
  }
  return sent;
}

std::map<std::string, int64_t> bytes_by_axis(const SentMessages& sent) {
  std::map<std::string, int64_t> bytes;
  for (const auto& [axis, ops] : sent) {
    for (const auto& [op, total] : ops) bytes[axis] += total.bytes;
  }
  return bytes;
}

int64_t staging_bytes(const parallel::MeshGroups& groups) {
  int64_t bytes = 0;
  for (const auto& [axis, group] : groups_by_axis(groups)) bytes += group->staging_bytes();
  return bytes;
}

RankPlan plan_rank(const StepLayout& layout, int rank) {
  runtime::Stream stream = runtime::Stream::dry_for(layout.execution.device);
  parallel::MeshGroups groups = parallel::dry_groups(layout.mesh, rank, layout.messages);
  runtime::Memory memory =
      runtime::Memory::dry(slot_counts(layout.execution, layout.mesh, layout.shape.microbatches, groups.at.pp));
  const auto trainer = make_trainer(layout.config, Purpose::training, layout.execution, stream, memory, groups);
  trainer->shards.parameters_changed();
  prepare_pipeline(*trainer, layout.shape);
  const int64_t run = microbatches_to_run(layout);
  if (run < layout.shape.microbatches) {
    trainer->pipeline.spec.microbatches = static_cast<int>(run);
    trainer->pipeline.actions = in_turn(trainer->pipeline.spec);
  }
  const std::vector<HostMicrobatch> microbatches(
      static_cast<size_t>(run),
      {.B = layout.shape.B, .T = layout.shape.T, .has_documents = layout.shape.has_documents});
  RankPlan plan{.at = groups.at};
  {
    StepRecorder recorder(stream, groups, trainer->chunks.size(), microbatches.size());
    trainer->observer = &recorder;
    train_step(*trainer, microbatches, layout.options);
    trainer->observer = nullptr;
    plan.record = whole_step(recorder.finish(), layout.shape.microbatches);
  }
  parallel::for_each_part(plan.record, [&](const ActionRecord& part) { add_totals(part, plan); });
  add_loss(*trainer, microbatches.front());
  plan.memory = memory.used();
  plan.persistent = parts_of(*trainer, plan.memory.persistent_bytes);
  plan.staging_bytes = staging_bytes(groups);
  return plan;
}

}  // namespace trireme::model
