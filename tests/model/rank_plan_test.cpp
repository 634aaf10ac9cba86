// Plans of ranks, dry: few microbatches stand for all, one rank of a stage for the others.
#include "model/rank_plan.h"

#include <gtest/gtest.h>

#include "tests/model/layout_cases.h"

namespace trireme::tests {
namespace {

using model::Execution;
using model::RankPlan;
using model::StepLayout;
using parallel::SentMessages;

/// So many microbatches that every schedule has its steady part: a few times the stages.
constexpr int64_t kRounds = 5;

StepLayout step_layout(const model::ModelConfig& config, const LayoutCase& layout, runtime::DType storage,
                       bool has_documents) {
  const Execution execution{.storage = storage,
                            .recompute = layout.recompute,
                            .zero_stage = layout.zero_stage,
                            .schedule = layout.schedule,
                            .virtual_stages = layout.virtual_stages};
  const model::StepShape shape{
      .B = 2, .T = kLayoutTokens, .microbatches = kRounds * layout.mesh.pp, .has_documents = has_documents};
  return {.config = config, .execution = execution, .mesh = layout.mesh, .shape = shape, .options = {.dropout = 0.1}};
}

/// Every layout of the grid, in both families, precisions and kinds of batches.
template <typename Check>
void for_each_layout(Check check) {
  size_t number = 0;
  for (const LayoutCase& layout : whole_grid()) {
    SCOPED_TRACE(layout.name());
    for (const model::ModelConfig& config : {layout_gpt2(), layout_llama()}) {
      ++number;
      const runtime::DType storage = number % 3 == 0 ? runtime::DType::bf16 : runtime::DType::fp32;
      check(step_layout(config, layout, storage, number % 2 == 0));
    }
  }
}

int64_t bytes_of(const SentMessages& sent) {
  int64_t bytes = 0;
  for (const auto& [axis, of_axis] : model::bytes_by_axis(sent)) bytes += of_axis;
  return bytes;
}

/// The two passing buffers of ZeRO 3 may still hold the layer that is read, or not: it depends on the action before.
bool sends_by_order(const StepLayout& layout) {
  return layout.mesh.dp > 1 && layout.execution.zero_stage == 3 && layout.mesh.pp > 1;
}

TEST(RankPlan, FewMicrobatchesStandForAll) {
  for_each_layout([](StepLayout layout) {
    for (int stage = 0; stage < layout.mesh.pp; ++stage) {
      const int rank = layout.mesh.tp * layout.mesh.dp * stage;
      layout.microbatches_run = 0;
      const RankPlan all = plan_rank(layout, rank);
      layout.microbatches_run = 1;
      const RankPlan few = plan_rank(layout, rank);
      EXPECT_EQ(few.memory, all.memory) << "stage " << stage;
      EXPECT_EQ(few.persistent.pipeline, all.persistent.pipeline);
      EXPECT_EQ(few.staging_bytes, all.staging_bytes);
      EXPECT_EQ(few.flops, all.flops);
      EXPECT_EQ(few.recomputed_flops, all.recomputed_flops);
      for (size_t chunk = 0; chunk < all.record.chunks.size(); ++chunk) {
        EXPECT_EQ(few.record.chunks[chunk].forward.count, layout.shape.microbatches);
        EXPECT_EQ(all.record.chunks[chunk].forward.count, layout.shape.microbatches);
      }
      if (!sends_by_order(layout)) {
        EXPECT_EQ(few.sent, all.sent) << "stage " << stage;
      } else {  // of a chunk's layers, one to four here, two may be found: 0.84 and 1.30 were seen
        EXPECT_NEAR(static_cast<double>(bytes_of(few.sent)) / static_cast<double>(bytes_of(all.sent)), 1, 0.5);
      }
    }
  });
}

TEST(RankPlan, RanksOfAStagePlanTheSame) {
  for_each_layout([](StepLayout layout) {
    layout.microbatches_run = 1;
    const int ranks_of_stage = layout.mesh.tp * layout.mesh.dp;
    RankPlan first;
    for (int rank = 0; rank < layout.mesh.world_size(); ++rank) {
      const RankPlan plan = plan_rank(layout, rank);
      if (rank % ranks_of_stage == 0) first = plan;
      EXPECT_EQ(plan.memory, first.memory) << "rank " << rank;
      EXPECT_EQ(plan.staging_bytes, first.staging_bytes) << "rank " << rank;
      // Norms of what several ranks hold are added up by the first of them.
      EXPECT_LE(plan.flops, first.flops) << "rank " << rank;
      EXPECT_GT(static_cast<double>(plan.flops), 0.99 * static_cast<double>(first.flops)) << "rank " << rank;
    }
  });
}

TEST(RankPlan, IsThePlanOfTraining) {
  for_each_layout([](const StepLayout& layout) {
    for (int rank = 0; rank < layout.mesh.world_size(); ++rank) {
      const RankPlan plan = plan_rank(layout, rank);
      EXPECT_EQ(plan.memory,
                model::plan_training(layout.config, layout.execution, layout.mesh, layout.shape, layout.options, rank))
          << "rank " << rank;
      EXPECT_GT(plan.persistent.parameters, 0);
      EXPECT_GT(plan.persistent.gradients, 0);
      EXPECT_GT(plan.persistent.optimizer, 0);
      EXPECT_GT(plan.persistent.pipeline, 0);  // alone the gradient of the residual stream
      EXPECT_GE(plan.persistent.rest, 0) << "parts are counted twice";
    }
  });
}

TEST(RankPlan, NoMicrobatchStandsForThoseOfAReproducibleStep) {
  StepLayout layout{.config = layout_gpt2(),
                    .execution = {.zero_stage = 1, .lanes = 4},
                    .mesh = {.dp = 2},
                    .shape = {.B = 1, .T = kLayoutTokens, .microbatches = 8}};
  const RankPlan all = plan_rank(layout, 0);
  layout.microbatches_run = 1;
  const RankPlan few = plan_rank(layout, 0);
  EXPECT_EQ(few.memory, all.memory);
  EXPECT_EQ(few.sent, all.sent);
  EXPECT_EQ(few.flops, all.flops);
}

}  // namespace
}  // namespace trireme::tests
