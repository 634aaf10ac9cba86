#include "launch/plan_search.h"

#include <algorithm>
#include <thread>

#include "launch/json_text.h"
#include "launch/memory_limit.h"
#include "launch/number_text.h"
#include "launch/search_planner.h"
#include "launch/search_report.h"
#include "runtime/log.h"

namespace trireme::launch {

FoundLayouts search_plans(const PlanSearch& asked) {
  const int ranks_per_machine = std::clamp(asked.ranks_per_machine, 1, asked.ranks);
  const MemoryLimit limit = memory_limit(asked.device_memory_gb, asked.training.calibration, ranks_per_machine);
  std::vector<Candidate> candidates = layout_candidates({.options = asked.training.options,
                                                         .given = asked.given,
                                                         .config = asked.training.config,
                                                         .sequence_length = asked.training.sequence_length,
                                                         .ranks = asked.ranks,
                                                         .ranks_per_machine = ranks_per_machine});
  runtime::log_info("planning " + grouped(static_cast<int64_t>(candidates.size())) + " layouts of " +
                    counted(asked.ranks, "rank"));
  const LayoutSearch search =
      search_layouts(std::move(candidates), search_planner(asked.training, limit.bytes),
                     {.memory_bytes = limit.bytes,
                      .top = asked.top,
                      .threads = static_cast<int>(std::max(1U, std::thread::hardware_concurrency()))});
  const SearchQuestion question{.ranks = asked.ranks, .memory_bytes = limit.bytes, .memory_source = limit.source};
  return {.text = asked.json ? json_text(to_json(search, question)) : search_table(search, question),
          .any_fits = search.fitting > 0};
}

}  // namespace trireme::launch
