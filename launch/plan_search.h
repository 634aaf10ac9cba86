// `plan --search`: from what was asked to what is printed.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "launch/layout_plan.h"

namespace trireme::launch {

struct PlanSearch {
  PlannedTraining training;
  std::vector<std::string> given;  ///< names of options whose value stays
  int ranks = 1;
  int ranks_per_machine = 1;
  std::optional<double> device_memory_gb;  ///< of a rank
  size_t top = 10;
  bool json = false;
};

struct FoundLayouts {
  std::string text;  ///< to be printed: a table, or JSON
  bool any_fits = false;
};

/// Takes seconds for thousands of layouts, on all cores.
FoundLayouts search_plans(const PlanSearch& asked);

}  // namespace trireme::launch
