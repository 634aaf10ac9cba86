#include "bench/model/layout_prediction.h"

#include <boost/json/array.hpp>
#include <map>
#include <string>

#include "parallel/step_time.h"
#include "runtime/time_model.h"

namespace trireme::model {
namespace {

namespace json = boost::json;

/// Of a rank, in all parts of a step.
json::object seconds_by_op(const parallel::StepRecord& record, const runtime::TimeModel& model) {
  std::map<std::string, double> seconds;
  const auto add = [&](const parallel::ActionRecord& action) {
    for (const runtime::OpProfile::Row& row : action.ops.rows()) seconds[row.op] += model.op_seconds(row);
  };
  for (const parallel::ChunkRecord& chunk : record.chunks) {
    for (const auto* action : {&chunk.forward, &chunk.backward, &chunk.backward_input, &chunk.backward_weight}) {
      add(*action);
    }
  }
  for (const auto* action : {&record.between, &record.reduction, &record.update}) add(*action);
  json::object object;
  for (const auto& [op, value] : seconds) object[op] = value;
  return object;
}

}  // namespace

parallel::ScheduleSpec schedule_of(const StepLayout& layout) {
  return {.kind = layout.execution.schedule,
          .stages = layout.mesh.pp,
          .chunks = layout.execution.virtual_stages,
          .microbatches = static_cast<int>(layout.shape.microbatches)};
}

int64_t tokens_of(const StepLayout& layout) {
  return layout.mesh.dp * layout.shape.microbatches * layout.shape.B * layout.shape.T;
}

std::vector<RankPlan> plan_stages(const StepLayout& layout) {
  std::vector<RankPlan> plans;
  for (int stage = 0; stage < layout.mesh.pp; ++stage) {
    plans.push_back(plan_rank(layout, stage * layout.mesh.tp * layout.mesh.dp));
  }
  return plans;
}

json::object predict_step(const StepLayout& layout, const runtime::Calibration& calibration) {
  const runtime::TimeModel model(calibration, layout.execution.storage);
  const parallel::Mesh& mesh = layout.mesh;
  const int64_t ranks_per_node = calibration.ranks_per_node > 0 ? calibration.ranks_per_node : mesh.world_size();
  parallel::StepToTime step{
      .mesh = mesh, .ranks_per_node = static_cast<int>(ranks_per_node), .spec = schedule_of(layout), .stages = {}};
  const std::vector<RankPlan> plans = plan_stages(layout);
  json::array op_seconds;
  for (const RankPlan& plan : plans) {
    step.stages.push_back(&plan.record);
    op_seconds.push_back(seconds_by_op(plan.record, model));
  }
  const parallel::StepTime time = parallel::time_step(step, model);
  const double tokens_per_second = static_cast<double>(tokens_of(layout)) / time.step_seconds;
  return {{"step_seconds", time.step_seconds},
          {"compute_seconds", time.compute_seconds},
          {"tp_seconds", time.tp_seconds},
          {"bubble_seconds", time.bubble_seconds},
          {"dp_seconds", time.dp_seconds},
          {"update_seconds", time.update_seconds},
          {"bubble_fraction", time.bubble_fraction},
          {"tokens_per_second", tokens_per_second},
          {"model_flops_per_second_and_rank",
           tokens_per_second * flops_per_token(layout.config, layout.shape.T) / mesh.world_size()},
          {"op_seconds", op_seconds}};
}

}  // namespace trireme::model
