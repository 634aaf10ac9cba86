#include "launch/layout_plan.h"

#include <algorithm>

#include "launch/execution_words.h"
#include "parallel/schedule_timeline.h"

namespace trireme::launch {
namespace {

parallel::StepTime time_of(const PlannedTraining& training, const LayoutPlan& plan) {
  const parallel::ScheduleSpec spec{.kind = plan.layout.schedule,
                                    .stages = plan.layout.mesh.pp,
                                    .chunks = plan.layout.virtual_stages,
                                    .microbatches = static_cast<int>(plan.layout.microbatches)};
  if (peak_flops_per_second(training.calibration, training.storage()) == 0) {
    const double bubble = parallel::simulate(spec, parallel::PipelineTimes{}).bubble_fraction();  // all actions alike
    return {.bubble_fraction = bubble, .timeline = {}};
  }
  parallel::StepToTime step{
      .mesh = plan.layout.mesh, .ranks_per_node = ranks_per_node(training.calibration), .spec = spec, .stages = {}};
  for (const model::RankPlan& stage : plan.stages) step.stages.push_back(&stage.record);
  return parallel::time_step(step, runtime::TimeModel(training.calibration, training.storage()));
}

}  // namespace

runtime::DType PlannedTraining::storage() const {
  return precision_of(options.precision, "--precision");
}

int64_t LayoutPlan::needed_bytes() const {
  int64_t most = 0;
  for (size_t stage = 0; stage < stages.size(); ++stage) most = std::max(most, needed_bytes(stage));
  return most;
}

model::StepLayout step_layout(const PlannedTraining& training, const Layout& layout, model::Recompute recompute) {
  model::Execution execution = execution_of(training.options, layout, training.device(), training.sequence_length);
  execution.recompute = recompute;
  return {.config = training.config,
          .execution = execution,
          .mesh = layout.mesh,
          .shape = {.B = layout.microbatch_size,
                    .T = training.sequence_length,
                    .microbatches = layout.microbatches,
                    .has_documents = training.options.document_mask},
          .options = {.dropout = training.options.dropout}};
}

LayoutPlan plan_memory(const PlannedTraining& training, const Layout& layout, model::Recompute recompute,
                       int64_t microbatches_run) {
  model::StepLayout step = step_layout(training, layout, recompute);
  step.microbatches_run = microbatches_run;
  LayoutPlan plan{.layout = layout,
                  .recompute = recompute,
                  .stages = {},
                  .reserve_bytes = training.calibration.reserve_bytes,
                  .time = {}};
  for (int stage = 0; stage < layout.mesh.pp; ++stage) {
    plan.stages.push_back(model::plan_rank(step, layout.mesh.tp * layout.mesh.dp * stage));
  }
  return plan;
}

LayoutPlan plan_layout(const PlannedTraining& training, const Layout& layout, model::Recompute recompute,
                       int64_t microbatches_run) {
  LayoutPlan plan = plan_memory(training, layout, recompute, microbatches_run);
  plan.time = time_of(training, plan);
  if (!plan.has_time()) return plan;
  const int ranks = layout.mesh.world_size();
  const double peak = peak_flops_per_second(training.calibration, training.storage());
  plan.tokens_per_second = static_cast<double>(training.tokens_per_step()) / plan.time.step_seconds;
  plan.mfu = model::model_utilisation(plan.tokens_per_second,
                                      model::flops_per_token(training.config, training.sequence_length), peak, ranks);
  double flops = 0;
  for (const model::RankPlan& stage : plan.stages) flops += static_cast<double>(stage.flops);
  plan.hfu = flops / static_cast<double>(layout.mesh.pp) / plan.time.step_seconds / peak;
  return plan;
}

double peak_flops_per_second(const runtime::Calibration& calibration, runtime::DType storage) {
  const bool has_own = storage == runtime::DType::bf16 && calibration.bf16_flops_per_second > 0;
  return has_own ? calibration.bf16_flops_per_second : calibration.fma_flops_per_second;
}

int ranks_per_node(const runtime::Calibration& calibration) {
  return static_cast<int>(calibration.ranks_per_node > 0 ? calibration.ranks_per_node : calibration.ranks);
}

}  // namespace trireme::launch
