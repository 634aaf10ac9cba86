// What a step of a layout should take by a calibration, as JSON for layout_bench.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <vector>

#include "model/rank_plan.h"
#include "runtime/calibration.h"

namespace trireme::model {

/// The schedule of the pipeline; tokens of all ranks in a step.
parallel::ScheduleSpec schedule_of(const StepLayout& layout);
int64_t tokens_of(const StepLayout& layout);

/// The plans of the first rank of each stage.
std::vector<RankPlan> plan_stages(const StepLayout& layout);

/// The members of parallel::StepTime, tokens/s, model flop/s of a rank, and by stage the seconds of each op, to find
/// errors by.
boost::json::object predict_step(const StepLayout& layout, const runtime::Calibration& calibration);

}  // namespace trireme::model
