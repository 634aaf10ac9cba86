#include "launch/search_planner.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>

#include "model/stage_plans.h"
#include "parallel/step_time.h"
#include "runtime/time_model.h"

namespace trireme::launch {
namespace {

/// What all estimators read.
struct Shared {
  const PlannedTraining& training;
  int64_t memory_bytes;
  model::ModelCuts cuts;
  std::optional<runtime::TimeModel> times;  ///< absent where the calibration knows none
};

class Estimator {
 public:
  explicit Estimator(std::shared_ptr<const Shared> shared) : shared_(std::move(shared)) {}

  LayoutEstimate operator()(const LayoutChoice& choice) {
    const PlannedTraining& training = shared_->training;
    const Layout& layout = choice.layout;
    if (!plans_) {
      plans_ = std::make_shared<model::StagePlans>(step_layout(training, layout, choice.recompute), shared_->cuts);
    }
    const model::Pipelining pipelining{.schedule = layout.schedule, .chunks = layout.virtual_stages};
    LayoutEstimate estimate;
    for (int stage = 0; stage < layout.mesh.pp; ++stage) {
      estimate.needed_bytes = std::max(estimate.needed_bytes, plans_->memory(pipelining, stage).total_bytes());
    }
    estimate.needed_bytes += training.calibration.reserve_bytes;
    if (estimate.needed_bytes > shared_->memory_bytes || !shared_->times) return estimate;
    const parallel::StepTime time = parallel::time_step({.mesh = layout.mesh,
                                                         .ranks_per_node = ranks_per_node(training.calibration),
                                                         .spec = plans_->spec_of(pipelining),
                                                         .stages = plans_->records(pipelining)},
                                                        *shared_->times);
    estimate.tokens_per_second = static_cast<double>(training.tokens_per_step()) / time.step_seconds;
    return estimate;
  }

 private:
  std::shared_ptr<const Shared> shared_;      ///< with all other estimators
  std::shared_ptr<model::StagePlans> plans_;  ///< with copies, which std::function asks for
};

}  // namespace

LayoutPlanner search_planner(const PlannedTraining& training, int64_t memory_bytes) {
  std::optional<runtime::TimeModel> times;
  if (peak_flops_per_second(training.calibration, training.storage()) > 0) {
    times.emplace(training.calibration, training.storage());
  }
  const auto shared =
      std::make_shared<const Shared>(Shared{.training = training,
                                            .memory_bytes = memory_bytes,
                                            .cuts = model::all_cuts(training.config, training.sequence_length),
                                            .times = std::move(times)});
  return {.estimator = [shared] { return Estimator(shared); },
          .plan = [&training](
                      const LayoutChoice& choice) { return plan_layout(training, choice.layout, choice.recompute); }};
}

}  // namespace trireme::launch
