// How `plan --search` plans: estimates from dry runs of single chunks of layers, which many layouts share; what it
// prints as `plan` of that layout alone would.
#pragma once

#include <cstdint>

#include "launch/layout_plan.h"
#include "launch/layout_search.h"

namespace trireme::launch {

/// Of layouts that need more than so many bytes of a rank no time is estimated. The training outlives what is returned.
LayoutPlanner search_planner(const PlannedTraining& training, int64_t memory_bytes);

}  // namespace trireme::launch
