#include "model/probe_steps.h"

#include <gtest/gtest.h>

#include <set>

#include "model/rank_plan.h"
#include "parallel/step_time.h"

namespace trireme::model {
namespace {

StepLayout layout_of(const ProbeStep& probe) {
  return {.config = probe.config,
          .execution = {.storage = probe.storage, .cut_tokens = probe.T},
          .mesh = {},
          .shape = {.B = probe.B, .T = probe.T},
          .options = {.dropout = probe.dropout}};
}

/// All ops of a step of a rank.
runtime::OpProfile ops_of(const parallel::StepRecord& record) {
  runtime::OpProfile ops;
  const auto add = [&ops](const parallel::ActionRecord& action) {
    for (const runtime::OpProfile::Row& row : action.ops.rows()) {
      for (int64_t call = 0; call < row.calls; ++call) {
        ops.add({.op = row.op, .flops = row.flops / row.calls, .bytes = row.bytes / row.calls, .sizes = row.sizes}, 0);
      }
    }
  };
  for (const parallel::ChunkRecord& chunk : record.chunks) {
    for (const auto* action : {&chunk.forward, &chunk.backward, &chunk.backward_input, &chunk.backward_weight}) {
      add(*action);
    }
  }
  for (const auto* action : {&record.between, &record.reduction, &record.update}) add(*action);
  return ops;
}

std::set<std::string> names(const runtime::OpProfile& ops) {
  std::set<std::string> names;
  for (const runtime::OpProfile::Row& row : ops.rows()) names.insert(row.op);
  return names;
}

TEST(ProbeSteps, EveryCallOfTheStepIsTimed) {
  for (ProbeStep probe : small_probe_steps()) {
    probe.steps = 1;
    const std::vector<runtime::OpTime> times = time_ops(probe);
    std::set<std::string> timed;
    for (const runtime::OpTime& time : times) {
      EXPECT_EQ(time.storage, probe.storage);
      EXPECT_GT(time.seconds, 0) << time.op;
      timed.insert(time.op);
    }
    std::set<std::string> planned = names(ops_of(plan_rank(layout_of(probe), 0).record));
    planned.insert("read_scalars");  // behind the last part of a step
    EXPECT_EQ(timed, planned);
  }
}

TEST(ProbeSteps, BothSizesAndStoragesHaveAllOpsOfTheirFamilies) {
  std::set<std::string> small;
  std::set<std::string> wide;
  for (const ProbeStep& probe : small_probe_steps()) small.merge(names(ops_of(plan_rank(layout_of(probe), 0).record)));
  for (const ProbeStep& probe : wide_probe_steps()) wide.merge(names(ops_of(plan_rank(layout_of(probe), 0).record)));
  EXPECT_TRUE(small.contains("dropout"));
  small.erase("dropout");
  EXPECT_EQ(small, wide);
}

/// A step that is predicted by its own calls takes what they took: nothing is lost between probe, calibration, dry run
/// and prediction.
TEST(ProbeSteps, AStepIsPredictedByItsOwnCalls) {
  const ProbeStep probe = small_probe_steps().front();
  runtime::Calibration calibration;
  calibration.fma_flops_per_second = 1e11;
  calibration.memory = {.read = 1e10, .copy = 1e10, .triad = 1e10};
  calibration.ops = time_ops(probe);
  const RankPlan plan = plan_rank(layout_of(probe), 0);
  const runtime::OpProfile ops = ops_of(plan.record);
  double seconds = 0;
  for (const runtime::OpProfile::Row& row : ops.rows()) {
    const auto time = std::ranges::find_if(
        calibration.ops, [&](const runtime::OpTime& one) { return one.op == row.op && one.sizes == row.sizes; });
    ASSERT_NE(time, calibration.ops.end()) << row.op;
    seconds += static_cast<double>(row.calls) * time->seconds;
  }
  const parallel::StepTime time = parallel::time_step({.spec = {.microbatches = 1}, .stages = {&plan.record}},
                                                      runtime::TimeModel(calibration, probe.storage));
  // Calls of one op and unlike costs (sums, updates) have a mean cost in the calibration, another in each part of the
  // step: what is rounded there to whole flops and bytes is far below a thousandth.
  EXPECT_NEAR(time.step_seconds, seconds, 1e-3 * seconds);
}

}  // namespace
}  // namespace trireme::model
