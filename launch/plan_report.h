// What `trireme plan` prints: a layout's plan as a table for people, and as JSON. Both say the same; neither plans.
#pragma once

#include <boost/json/object.hpp>
#include <string>

#include "launch/layout_plan.h"

namespace trireme::launch {

/// Where a plan's figures are from.
struct PlanSources {
  std::string vocabulary;   ///< of a model without one: "256 bytes and end of text"; empty: the model's own
  std::string calibration;  ///< its file or name; empty: there is none
};

/// Lines of at most 100 columns, but for those that name the layers of many stages, or a source.
std::string plan_table(const PlannedTraining& training, const LayoutPlan& plan, const PlanSources& sources);

/// README.md has the members.
boost::json::object plan_json(const PlannedTraining& training, const LayoutPlan& plan, const PlanSources& sources);

/// Whether the rank that needs most keeps within --device-memory; true where there is no such limit.
bool fits(const PlannedTraining& training, const LayoutPlan& plan);

}  // namespace trireme::launch
