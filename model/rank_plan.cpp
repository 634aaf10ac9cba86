#include "model/rank_plan.h"

#include <memory>
#include <utility>
#include <vector>

#include "model/step_observer.h"

namespace trireme::model {
namespace {

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

std::vector<std::pair<std::string, const runtime::Communicator*>> groups_by_axis(const parallel::MeshGroups& groups) {
  return {{"tp", groups.tp.get()},         {"dp", groups.dp.get()},          {"pp", groups.pp.get()},
          {"pp", groups.pp_forward.get()}, {"pp", groups.pp_backward.get()}, {"tied", groups.tied.get()}};
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

/// Keeps the account of each part of a dry step apart.
class PartRecorder : public StepObserver {
 public:
  PartRecorder(runtime::Stream& stream, const parallel::MeshGroups& groups, size_t chunks)
      : stream_(stream), groups_(groups), sent_before_(sent_messages(groups)) {
    record_.chunks.resize(chunks);
    stream_.profile_into(&record_.between.ops);
  }
  ~PartRecorder() override { stream_.profile_into(nullptr); }

  void begin(const StepPart& part) override {
    close(record_.between);
    stream_.profile_into(&record_of(part).ops);
  }
  void end(const StepPart& part) override {
    ActionRecord& record = record_of(part);
    close(record);
    record.count += 1;
    stream_.profile_into(&record_.between.ops);
  }
  /// What comes behind the last part belongs to the update, which has it begun.
  StepRecord finish() {
    close(record_.update);
    stream_.profile_into(nullptr);
    return std::move(record_);
  }

 private:
  ActionRecord& record_of(const StepPart& part) {
    if (part.kind == StepPart::Kind::reduction) return record_.reduction;
    if (part.kind == StepPart::Kind::update) return record_.update;
    parallel::ChunkRecord& chunk = record_.chunks[static_cast<size_t>(part.chunk)];
    switch (part.kind) {
      case StepPart::Kind::forward:
        return chunk.forward;
      case StepPart::Kind::backward:
        return chunk.backward;
      case StepPart::Kind::backward_input:
        return chunk.backward_input;
      default:
        return chunk.backward_weight;
    }
  }

  void close(ActionRecord& record) {
    SentMessages now = sent_messages(groups_);
    add(record.sent, difference(now, sent_before_));
    sent_before_ = std::move(now);
  }

  runtime::Stream& stream_;
  const parallel::MeshGroups& groups_;
  SentMessages sent_before_;
  StepRecord record_;
};

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

RankPlan plan_rank(const StepLayout& layout, int rank) {
  runtime::Stream stream = runtime::Stream::dry_for(layout.execution.device);
  parallel::MeshGroups groups = parallel::dry_groups(layout.mesh, rank);
  runtime::Memory memory =
      runtime::Memory::dry(slot_counts(layout.execution, layout.mesh, layout.shape.microbatches, groups.at.pp));
  const auto trainer = make_trainer(layout.config, Purpose::training, layout.execution, stream, memory, groups);
  trainer->shards.parameters_changed();
  const SentMessages before = sent_messages(groups);
  stream.clear_costs();
  const std::vector<HostMicrobatch> microbatches(
      static_cast<size_t>(layout.shape.microbatches),
      {.B = layout.shape.B, .T = layout.shape.T, .has_documents = layout.shape.has_documents});
  RankPlan plan{.at = groups.at};
  {
    PartRecorder recorder(stream, groups, trainer->chunks.size());
    trainer->observer = &recorder;
    train_step(*trainer, microbatches, layout.options);
    trainer->observer = nullptr;
    plan.record = recorder.finish();
  }
  plan.sent = difference(sent_messages(groups), before);
  const runtime::CostRecord::Total costs = stream.costs().sum();
  plan.flops = costs.flops;
  plan.recomputed_flops = costs.recomputed_flops;
  add_loss(*trainer, microbatches.front());
  plan.memory = memory.used();
  plan.persistent = parts_of(*trainer, plan.memory.persistent_bytes);
  for (const auto& [axis, group] : groups_by_axis(groups)) plan.staging_bytes += group->staging_bytes();
  return plan;
}

}  // namespace trireme::model
