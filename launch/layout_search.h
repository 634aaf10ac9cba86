// Ranks layouts by their predicted speed: asks a given planner about every candidate that model and batch allow, on
// several threads; those that do not fit fall by their memory. It does not know how plans are made.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <vector>

#include "launch/layout_plan.h"
#include "launch/layout_space.h"

namespace trireme::launch {

/// What a layout is ranked by.
struct LayoutEstimate {
  int64_t needed_bytes = 0;      ///< of the rank that needs most: exact
  double tokens_per_second = 0;  ///< near enough to rank by; none is needed of what does not fit
};
using LayoutEstimator = std::function<LayoutEstimate(const LayoutChoice&)>;

/// Both are called by several threads at a time.
struct LayoutPlanner {
  /// One for layouts that differ in their pipeline alone, used by one thread.
  std::function<LayoutEstimator()> estimator;
  /// As `plan` of that layout alone would say.
  std::function<LayoutPlan(const LayoutChoice&)> plan;
};

struct SearchOptions {
  int64_t memory_bytes = 0;  ///< of a rank
  size_t top = 10;           ///< layouts to plan as a whole
  int threads = 1;
};

/// Those that fell by one obstacle.
struct FallenLayouts {
  int64_t count = 0;
  Candidate nearest;  ///< to fitting
};

struct LayoutSearch {
  int64_t layouts = 0;                ///< that were asked about
  int64_t fitting = 0;                ///< of them
  std::vector<LayoutPlan> best;       ///< planned as a whole, best first
  std::vector<FallenLayouts> fallen;  ///< in the order of Obstacle
};

/// The faster one of two plans is better; of equally fast ones (to six digits) the one whose fullest rank holds less,
/// then the one that is simpler: a smaller pipeline, less tensor parallelism, fewer virtual stages, 1F1B, less
/// recomputation, a lower ZeRO stage, larger microbatches. The result does not depend on the number of threads.
LayoutSearch search_layouts(std::vector<Candidate> candidates, const LayoutPlanner& planner,
                            const SearchOptions& options);

}  // namespace trireme::launch
