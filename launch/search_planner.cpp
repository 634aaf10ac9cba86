#include "launch/search_planner.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "launch/execution_words.h"
#include "model/stage_plans.h"
#include "parallel/step_time.h"
#include "runtime/time_model.h"

namespace trireme::launch {
namespace {

model::StepLayout step_layout(const PlannedTraining& training, const Layout& layout, model::Recompute recompute) {
  model::StepLayout step;
  step.config = training.config;
  step.execution = {.storage = precision_of(training.options.precision, "--precision"),
                    .recompute = recompute,
                    .device = training.options.device == "cuda" ? runtime::Device::cuda : runtime::Device::cpu,
                    .zero_stage = layout.zero_stage,
                    .schedule = layout.schedule,
                    .virtual_stages = layout.virtual_stages,
                    .cut_tokens = training.sequence_length};
  step.mesh = layout.mesh;
  step.shape = {.B = layout.microbatch_size,
                .T = training.sequence_length,
                .microbatches = layout.microbatches,
                .has_documents = training.options.document_mask};
  step.options = {.dropout = training.options.dropout};
  return step;
}

/// What all estimators read.
struct Shared {
  const PlannedTraining& training;
  int64_t memory_bytes;
  model::ModelCuts cuts;
  runtime::TimeModel times;
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
    if (estimate.needed_bytes > shared_->memory_bytes) return estimate;
    const parallel::StepTime time =
        parallel::time_step({.mesh = layout.mesh,
                             .ranks_per_node = static_cast<int>(training.calibration.ranks_per_node),
                             .spec = plans_->spec_of(pipelining),
                             .stages = plans_->records(pipelining)},
                            shared_->times);
    estimate.tokens_per_second = static_cast<double>(training.tokens_per_step()) / time.step_seconds;
    return estimate;
  }

 private:
  std::shared_ptr<const Shared> shared_;      ///< with all other estimators
  std::shared_ptr<model::StagePlans> plans_;  ///< with copies, which std::function asks for
};

}  // namespace

LayoutPlanner search_planner(const PlannedTraining& training, int64_t memory_bytes) {
  const auto shared = std::make_shared<const Shared>(
      Shared{.training = training,
             .memory_bytes = memory_bytes,
             .cuts = model::all_cuts(training.config, training.sequence_length),
             .times = {training.calibration, precision_of(training.options.precision, "--precision")}});
  return {.estimator = [shared] { return Estimator(shared); },
          .plan = [&training](
                      const LayoutChoice& choice) { return plan_layout(training, choice.layout, choice.recompute); }};
}

}  // namespace trireme::launch
