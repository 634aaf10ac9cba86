#include "launch/layout_search.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <tuple>
#include <utility>

#include "launch/number_text.h"
#include "runtime/error.h"
#include "runtime/threads.h"

namespace trireme::launch {
namespace {

/// What of a plan decides about its place.
struct Ranked {
  size_t candidate = 0;
  int64_t speed = 0;  ///< on a logarithmic scale, a step a millionth: what differs less is equal
  int64_t needed_bytes = 0;
};

int64_t speed_of(double tokens_per_second) {
  constexpr double kStep = 1e-6;
  return tokens_per_second > 0 ? std::llround(std::log(tokens_per_second) / kStep) : 0;
}

auto simplicity(const LayoutChoice& choice) {
  const Layout& layout = choice.layout;
  return std::tuple(layout.mesh.pp, layout.mesh.tp, layout.virtual_stages,
                    layout.schedule != parallel::ScheduleKind::one_f_one_b, choice.recompute, layout.zero_stage,
                    -layout.microbatch_size);
}

/// Calls work(0) to work(count - 1), each once, on so many threads. Rethrows what the first of them threw.
void run_in_threads(size_t count, int threads, const std::function<void(size_t)>& work) {
  std::atomic<size_t> next = 0;
  std::mutex mutex;
  std::exception_ptr failure;
  const int compute_threads = runtime::compute_threads();
  const auto run = [&] {
    runtime::set_compute_threads(compute_threads);  // scratch depends on it, and a new thread does not inherit it
    try {
      for (size_t i = next++; i < count; i = next++) work(i);
    } catch (...) {
      const std::scoped_lock lock(mutex);
      if (!failure) failure = std::current_exception();
      next = count;
    }
  };
  {
    std::vector<std::jthread> others;
    for (int i = 1; i < threads; ++i) others.emplace_back(run);
    run();
  }
  if (failure) std::rethrow_exception(failure);
}

void note_memory(Candidate& candidate, int64_t needed_bytes, int64_t memory_bytes) {
  if (needed_bytes <= memory_bytes) return;
  candidate.obstacle = Obstacle::memory;
  candidate.reason =
      "needs " + bytes_text(needed_bytes) + " a rank, " + bytes_text(needed_bytes - memory_bytes) + " too much";
  candidate.distance = needed_bytes - memory_bytes;
}

/// What fell by its memory must have fallen rightly.
void check_memory(const LayoutPlan& plan, int64_t estimated_bytes) {
  if (plan.needed_bytes() == estimated_bytes) return;
  throw runtime::Error(runtime::ErrorKind::internal, "a plan needs " + std::to_string(plan.needed_bytes()) +
                                                         " bytes, by its estimate " + std::to_string(estimated_bytes) +
                                                         ": " + choice_words({plan.layout, plan.recompute}));
}

/// Neighbours that may share an estimator: the first of each row, and the end.
std::vector<size_t> rows_of(const std::vector<Ranked>& ranked, const std::vector<Candidate>& candidates) {
  std::vector<size_t> begins;
  for (size_t i = 0; i < ranked.size(); ++i) {
    const auto choice = [&](size_t place) { return candidates[ranked[place].candidate].choice; };
    if (i == 0 || !differ_in_pipeline_alone(choice(i - 1), choice(i))) begins.push_back(i);
  }
  begins.push_back(ranked.size());
  return begins;
}

std::vector<FallenLayouts> grouped_by_obstacle(const std::vector<Candidate>& candidates) {
  std::map<Obstacle, FallenLayouts> groups;
  for (const Candidate& candidate : candidates) {
    if (candidate.obstacle == Obstacle::none) continue;
    FallenLayouts& group = groups[candidate.obstacle];
    if (group.count == 0 || candidate.distance < group.nearest.distance) group.nearest = candidate;
    group.count += 1;
  }
  std::vector<FallenLayouts> fallen;
  for (auto& [obstacle, group] : groups) fallen.push_back(std::move(group));
  return fallen;
}

}  // namespace

LayoutSearch search_layouts(std::vector<Candidate> candidates, const LayoutPlanner& planner,
                            const SearchOptions& options) {
  std::vector<Ranked> ranked;
  for (size_t i = 0; i < candidates.size(); ++i) {
    if (candidates[i].obstacle == Obstacle::none) ranked.push_back({.candidate = i});
  }
  const std::vector<size_t> rows = rows_of(ranked, candidates);
  run_in_threads(rows.size() - 1, options.threads, [&](size_t row) {
    const LayoutEstimator estimate = planner.estimator();
    for (size_t i = rows[row]; i < rows[row + 1]; ++i) {
      Candidate& candidate = candidates[ranked[i].candidate];
      const LayoutEstimate estimated = estimate(candidate.choice);
      ranked[i].speed = speed_of(estimated.tokens_per_second);
      ranked[i].needed_bytes = estimated.needed_bytes;
      note_memory(candidate, estimated.needed_bytes, options.memory_bytes);
    }
  });
  std::erase_if(ranked, [&](const Ranked& one) { return candidates[one.candidate].obstacle != Obstacle::none; });
  std::ranges::sort(ranked, {}, [&](const Ranked& one) {
    return std::tuple(-one.speed, one.needed_bytes, simplicity(candidates[one.candidate].choice));
  });

  LayoutSearch search{.layouts = static_cast<int64_t>(candidates.size()),
                      .fitting = static_cast<int64_t>(ranked.size()),
                      .best = std::vector<LayoutPlan>(std::min(options.top, ranked.size())),
                      .fallen = grouped_by_obstacle(candidates)};
  run_in_threads(search.best.size(), options.threads, [&](size_t i) {
    search.best[i] = planner.plan(candidates[ranked[i].candidate].choice);
    check_memory(search.best[i], ranked[i].needed_bytes);
  });
  std::ranges::sort(search.best, {}, [](const LayoutPlan& one) {
    return std::tuple(-speed_of(one.tokens_per_second), one.needed_bytes(), simplicity({one.layout, one.recompute}));
  });
  return search;
}

}  // namespace trireme::launch
