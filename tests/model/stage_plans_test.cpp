#include "model/stage_plans.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <sstream>

namespace trireme::model {
namespace {

using parallel::ActionRecord;
using parallel::ScheduleKind;
using parallel::StepRecord;

/// Nine layers, which no pipeline of two stages shares out evenly; tied and untied, learned positions and rope.
ModelConfig config_of(const std::string& family) {
  ModelConfig config;
  config.layers = 9;
  config.heads = 4;
  config.kv_heads = 4;
  config.width = 64;
  config.head_width = 16;
  config.feed_forward_width = 128;
  config.positions = 32;
  config.vocabulary_size = 100;
  if (family == "llama") {
    config.family = family;
    config.kv_heads = 2;
    config.norm = NormKind::rms_norm;
    config.position = PositionKind::rope;
    config.activation = ActivationKind::swiglu;
    config.attention_bias = config.feed_forward_bias = config.tied_embeddings = false;
  }
  return config;
}

struct Pipeline {
  ScheduleKind schedule = ScheduleKind::one_f_one_b;
  int stages = 1;
  int chunks = 1;
  int64_t microbatches = 1;
};

const std::vector<Pipeline>& pipelines() {
  static const std::vector<Pipeline> kAll{{ScheduleKind::one_f_one_b, 1, 1, 1}, {ScheduleKind::one_f_one_b, 1, 1, 4},
                                          {ScheduleKind::one_f_one_b, 2, 1, 5}, {ScheduleKind::one_f_one_b, 3, 1, 2},
                                          {ScheduleKind::one_f_one_b, 2, 2, 4}, {ScheduleKind::one_f_one_b, 2, 4, 2},
                                          {ScheduleKind::one_f_one_b, 3, 3, 6}, {ScheduleKind::zb_h1, 2, 1, 3},
                                          {ScheduleKind::zb_h1, 4, 1, 6},       {ScheduleKind::gpipe, 3, 1, 4}};
  return kAll;
}

/// Layouts that have little in common, each with every pipeline.
std::vector<StepLayout> layouts() {
  std::vector<StepLayout> all;
  const auto add = [&](const std::string& family, int tp, int dp, int zero_stage, Recompute recompute, int64_t B,
                       runtime::DType storage, runtime::Device device) {
    StepLayout layout;
    layout.config = config_of(family);
    layout.mesh = {.tp = tp, .dp = dp};
    layout.execution = {
        .storage = storage, .recompute = recompute, .device = device, .zero_stage = zero_stage, .cut_tokens = 32};
    layout.shape = {.B = B, .T = 32};
    all.push_back(layout);
  };
  using runtime::Device;
  using runtime::DType;
  add("gpt2", 1, 1, 0, Recompute::none, 2, DType::fp32, Device::cpu);
  add("gpt2", 2, 2, 1, Recompute::selective, 1, DType::fp32, Device::cpu);
  add("llama", 2, 4, 2, Recompute::full, 1, DType::bf16, Device::cuda);
  add("llama", 1, 2, 3, Recompute::none, 3, DType::bf16, Device::cpu);
  add("gpt2", 2, 2, 3, Recompute::full, 1, DType::fp32, Device::cuda);
  add("llama", 2, 3, 0, Recompute::none, 1, DType::fp32, Device::cpu);
  return all;
}

StepLayout with(StepLayout layout, const Pipeline& pipeline) {
  layout.mesh.pp = pipeline.stages;
  layout.execution.schedule = pipeline.schedule;
  layout.execution.virtual_stages = pipeline.chunks;
  layout.shape.microbatches = pipeline.microbatches;
  return layout;
}

std::string text(const StepLayout& layout) {
  std::ostringstream text;
  text << layout.config.family << " tp " << layout.mesh.tp << " dp " << layout.mesh.dp << " pp " << layout.mesh.pp
       << " ZeRO " << layout.execution.zero_stage << " " << parallel::name(layout.execution.schedule) << " of "
       << layout.execution.virtual_stages << ", " << layout.shape.microbatches << " microbatches of " << layout.shape.B;
  return text.str();
}

/// Calls, flops and bytes by op and sizes, in any order.
std::vector<std::string> rows(const ActionRecord& record) {
  std::vector<std::string> lines;
  for (const runtime::OpProfile::Row& row : record.ops.rows()) {
    std::ostringstream line;
    line << row.op;
    for (const int64_t size : row.sizes.sizes()) line << ' ' << size;
    line << ": " << row.calls << ' ' << row.flops << ' ' << row.bytes << ' ' << row.recomputed_flops;
    lines.push_back(line.str());
  }
  std::ranges::sort(lines);
  return lines;
}

std::vector<const ActionRecord*> actions_of(const parallel::ChunkRecord& chunk) {
  return {&chunk.forward, &chunk.backward, &chunk.backward_input, &chunk.backward_weight};
}

/// Of all actions and the reduction.
std::vector<std::string> all_actions(const StepRecord& record) {
  ActionRecord sum = record.reduction;
  for (const parallel::ChunkRecord& chunk : record.chunks) {
    for (const ActionRecord* action : actions_of(chunk)) add(sum, *action, 1);
  }
  return rows(sum);
}

/// What a step sends on an axis but for the messages between actions.
std::map<std::string, runtime::CommTotal, std::less<>> sent_on(const StepRecord& record, const std::string& axis) {
  ActionRecord sum = record.reduction;
  add(sum, record.update, 1);
  for (const parallel::ChunkRecord& chunk : record.chunks) {
    for (const ActionRecord* action : actions_of(chunk)) add(sum, *action, 1);
  }
  return sum.sent[axis];
}

struct Stage {
  StepLayout layout;
  Pipelining pipelining;
  int number;
  RankPlan whole;  ///< by plan_rank
};

/// Calls work(plans, stage) for every stage of every layout.
template <typename Work>
void for_each_stage(const Work& work) {
  for (const StepLayout& like : layouts()) {
    const ModelCuts cuts = all_cuts(like.config, like.execution.cut_tokens);
    for (const Pipeline& pipeline : pipelines()) {
      const StepLayout layout = with(like, pipeline);
      StagePlans plans(layout, cuts);
      for (int stage = 0; stage < layout.mesh.pp; ++stage) {
        SCOPED_TRACE(text(layout) + ", stage " + std::to_string(stage));
        work(plans, Stage{.layout = layout,
                          .pipelining = {.schedule = pipeline.schedule, .chunks = pipeline.chunks},
                          .number = stage,
                          .whole = plan_rank(layout, stage * layout.mesh.tp * layout.mesh.dp)});
      }
    }
  }
}

TEST(StagePlans, HoldWhatWholeStepsHold) {
  for_each_stage([](StagePlans& plans, const Stage& stage) {
    const StageMemory memory = plans.memory(stage.pipelining, stage.number);
    EXPECT_EQ(memory.memory.persistent_bytes, stage.whole.memory.persistent_bytes);
    EXPECT_EQ(memory.memory.slots, stage.whole.memory.slots);
    EXPECT_EQ(memory.memory.scratch_bytes, stage.whole.memory.scratch_bytes);
    EXPECT_EQ(memory.staging_bytes, stage.whole.staging_bytes);
  });
}

TEST(StagePlans, AreTheSameWhicheverPipelineIsAskedAboutFirst) {
  StepLayout like = layouts()[3];
  like.mesh.pp = 3;
  like.shape.microbatches = 6;
  const ModelCuts cuts = all_cuts(like.config, like.execution.cut_tokens);
  StagePlans shared(like, cuts);
  for (const Pipelining& pipelining : {Pipelining{ScheduleKind::zb_h1, 1},
                                       {ScheduleKind::one_f_one_b, 3},
                                       {ScheduleKind::one_f_one_b, 1},
                                       {ScheduleKind::one_f_one_b, 2}}) {
    StagePlans alone(like, cuts);
    for (int stage = 0; stage < 3; ++stage) {
      const int64_t expected_bytes = alone.memory(pipelining, stage).total_bytes();
      EXPECT_EQ(shared.memory(pipelining, stage).total_bytes(), expected_bytes);
      EXPECT_EQ(all_actions(*shared.records(pipelining)[static_cast<size_t>(stage)]),
                all_actions(*alone.records(pipelining)[static_cast<size_t>(stage)]));
    }
  }
}

TEST(StagePlans, ComputeWhatWholeStepsCompute) {
  for_each_stage([](StagePlans& plans, const Stage& stage) {
    const StepRecord& record = *plans.records(stage.pipelining)[static_cast<size_t>(stage.number)];
    const StepRecord& whole = stage.whole.record;
    ASSERT_EQ(record.chunks.size(), whole.chunks.size());
    // From stage 2 on a layer's reduction may end in an action of another chunk.
    const bool is_kept_apart = stage.layout.execution.zero_stage < 2 || stage.pipelining.chunks == 1;
    for (size_t chunk = 0; chunk < record.chunks.size(); ++chunk) {
      const auto planned = actions_of(record.chunks[chunk]);
      const auto expected = actions_of(whole.chunks[chunk]);
      for (size_t i = 0; i < planned.size(); ++i) {
        EXPECT_EQ(planned[i]->count, expected[i]->count);
        if (is_kept_apart) {
          EXPECT_EQ(rows(*planned[i]), rows(*expected[i])) << "chunk " << chunk << ", action " << i;
        }
      }
    }
    if (is_kept_apart) {
      EXPECT_EQ(rows(record.reduction), rows(whole.reduction));
    }
    EXPECT_EQ(all_actions(record), all_actions(whole));
    EXPECT_EQ(rows(record.update), rows(whole.update));
    EXPECT_EQ(rows(record.between), rows(whole.between));
  });
}

TEST(StagePlans, SendWhatWholeStepsSend) {
  for_each_stage([](StagePlans& plans, const Stage& stage) {
    const StepRecord& record = *plans.records(stage.pipelining)[static_cast<size_t>(stage.number)];
    EXPECT_EQ(sent_on(record, "tp"), sent_on(stage.whole.record, "tp"));
    EXPECT_EQ(sent_on(record, "tied"), sent_on(stage.whole.record, "tied"));
    if (stage.layout.execution.zero_stage < 3) {
      EXPECT_EQ(sent_on(record, "dp"), sent_on(stage.whole.record, "dp"));
      return;
    }
    const auto planned = sent_on(record, "dp");
    const auto expected = sent_on(stage.whole.record, "dp");
    EXPECT_EQ(planned.at("reduce_scatter"), expected.at("reduce_scatter"));
    // Each action gathers the layers that it reads but for those, two at most, that ZeRO's buffers still hold: which
    // they are depends on the order of the actions, and one rank alone has that of the plans.
    const int64_t actions = 2 * stage.pipelining.chunks * stage.layout.shape.microbatches;
    const int64_t most_apart = stage.layout.mesh.pp == 1 ? 0 : 2 * actions;
    EXPECT_LE(std::abs(planned.at("all_gather").calls - expected.at("all_gather").calls), most_apart);
  });
}

}  // namespace
}  // namespace trireme::model
