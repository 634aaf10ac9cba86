#include "launch/search_planner.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "launch/calibration_source.h"
#include "launch/search_report.h"
#include "runtime/files.h"

namespace trireme::launch {
namespace {

constexpr int kRanks = 4;

/// A small model on half of a node of published figures.
PlannedTraining small_training() {
  PlannedTraining training;
  training.options.global_batch_size = 8;
  training.options.precision = "bf16";
  training.config.layers = 5;
  training.config.heads = 8;
  training.config.kv_heads = 8;
  training.config.width = 512;
  training.config.head_width = 64;
  training.config.feed_forward_width = 2048;
  training.config.positions = 256;
  training.config.vocabulary_size = 1000;
  training.sequence_length = 256;
  training.calibration = find_calibration(runtime::real_files(), "calibration", "h100");
  return training;
}

std::vector<Candidate> candidates_of(const PlannedTraining& training) {
  return layout_candidates({.options = training.options,
                            .given = {},
                            .config = training.config,
                            .sequence_length = training.sequence_length,
                            .ranks = kRanks,
                            .ranks_per_machine = kRanks});
}

/// Every layout planned alone, as `plan` would.
const std::vector<LayoutPlan>& whole_plans() {
  static const std::vector<LayoutPlan> kPlans = [] {
    const PlannedTraining training = small_training();
    std::vector<LayoutPlan> plans;
    for (const Candidate& candidate : candidates_of(training)) {
      if (candidate.obstacle != Obstacle::none) continue;
      plans.push_back(plan_layout(training, candidate.choice.layout, candidate.choice.recompute));
    }
    return plans;
  }();
  return kPlans;
}

/// What half of the layouts need at most.
int64_t median_bytes() {
  std::vector<int64_t> bytes;
  for (const LayoutPlan& plan : whole_plans()) bytes.push_back(plan.needed_bytes());
  std::ranges::sort(bytes);
  return bytes[bytes.size() / 2];
}

std::string words(const LayoutPlan& plan) {
  return choice_words({plan.layout, plan.recompute});
}

TEST(SearchPlanner, EstimatesMemoryExactlyAndTimesOfAllButZeroThreeToo) {
  const PlannedTraining training = small_training();
  const LayoutPlanner planner = search_planner(training, INT64_MAX);
  LayoutEstimator estimate = planner.estimator();
  LayoutChoice last;
  for (const LayoutPlan& plan : whole_plans()) {
    const LayoutChoice choice{plan.layout, plan.recompute};
    if (!differ_in_pipeline_alone(last, choice)) estimate = planner.estimator();
    last = choice;
    const LayoutEstimate estimated = estimate(choice);
    ASSERT_EQ(estimated.needed_bytes, plan.needed_bytes()) << words(plan);
    // The same numbers but for one: middle stages share their part in short sums over the pipeline, trees in which
    // every rank sends another number of messages. From stage 2 on a layer's reduction may end in an action of another
    // chunk, and at stage 3 a gather is one too many or too few where a buffer may still hold the layer: measured up to
    // 0.4% and 1.3% of these steps.
    const bool is_kept_apart = plan.layout.zero_stage < 2 || plan.layout.virtual_stages == 1;
    const double most_apart = plan.layout.zero_stage == 3 ? 0.03 : is_kept_apart ? 1e-6 : 0.01;
    ASSERT_NEAR(estimated.tokens_per_second / plan.tokens_per_second, 1, most_apart) << words(plan);
  }
}

TEST(SearchPlanner, FindsTheBestOfAllThatFit) {
  const PlannedTraining training = small_training();
  const int64_t memory_bytes = median_bytes();
  std::vector<const LayoutPlan*> fitting;
  for (const LayoutPlan& plan : whole_plans()) {
    if (plan.needed_bytes() <= memory_bytes) fitting.push_back(&plan);
  }
  std::ranges::stable_sort(fitting, std::ranges::greater(), &LayoutPlan::tokens_per_second);
  const LayoutSearch search = search_layouts(candidates_of(training), search_planner(training, memory_bytes),
                                             {.memory_bytes = memory_bytes, .top = 10, .threads = 2});
  EXPECT_EQ(search.fitting, static_cast<int64_t>(fitting.size()));
  ASSERT_EQ(search.best.size(), 10U);
  for (size_t i = 0; i < search.best.size(); ++i) {
    EXPECT_NEAR(search.best[i].tokens_per_second / fitting[i]->tokens_per_second, 1, 1e-6)
        << "place " << i << ": " << words(search.best[i]) << ", not " << words(*fitting[i]);
  }
}

TEST(SearchPlanner, OneThreadAndTwoFindTheSame) {
  const PlannedTraining training = small_training();
  const int64_t memory_bytes = median_bytes();
  const auto report = [&](int threads) {
    const LayoutSearch search = search_layouts(candidates_of(training), search_planner(training, memory_bytes),
                                               {.memory_bytes = memory_bytes, .top = 5, .threads = threads});
    return search_table(search, {.ranks = kRanks, .memory_bytes = memory_bytes, .memory_source = "test"});
  };
  EXPECT_EQ(report(1), report(2));
}

}  // namespace
}  // namespace trireme::launch
