#include "launch/layout_search.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <mutex>
#include <optional>
#include <set>

#include "launch/search_report.h"
#include "runtime/error.h"
#include "runtime/json.h"

namespace trireme::launch {
namespace {

constexpr int64_t kMemoryBytes = 1000;

std::vector<Candidate> candidates_of(int ranks) {
  LayoutSpace space{.options = {},
                    .given = {},
                    .config = {},
                    .sequence_length = 32,
                    .ranks = ranks,
                    .ranks_per_machine = std::min(ranks, 4)};
  space.options.global_batch_size = 16;
  space.config.layers = 6;
  space.config.heads = 12;
  space.config.kv_heads = 4;
  space.config.width = 48;
  space.config.feed_forward_width = 192;
  return layout_candidates(space);
}

/// A plan of given figures, on one stage.
LayoutPlan plan_of(const LayoutChoice& choice, int64_t bytes, double tokens_per_second) {
  LayoutPlan plan;
  plan.layout = choice.layout;
  plan.recompute = choice.recompute;
  plan.stages.resize(1);
  plan.stages[0].memory.persistent_bytes = bytes;
  plan.tokens_per_second = tokens_per_second;
  return plan;
}

/// Figures that have nothing to do with layouts, but are the same for the same one: many are equally fast.
int64_t digest(const LayoutChoice& choice) {
  const Layout& layout = choice.layout;
  int64_t sum = 7;
  for (const int64_t part : {int64_t{layout.mesh.tp}, int64_t{layout.mesh.pp}, static_cast<int64_t>(layout.schedule),
                             int64_t{layout.virtual_stages}, int64_t{layout.zero_stage}, layout.microbatch_size,
                             static_cast<int64_t>(choice.recompute)}) {
    sum = (31 * sum + part) * 7919 % 1'000'003;
  }
  return sum;
}
int64_t bytes_of(const LayoutChoice& choice) {
  return 500 + digest(choice) % 1000;
}
double speed_of(const LayoutChoice& choice) {
  return static_cast<double>(10 + digest(choice) % 7);
}

/// Of two functions of a choice: what it needs and how fast it is.
template <typename Bytes, typename Speed>
LayoutPlanner planner_of(const Bytes& bytes, const Speed& speed) {
  return {.estimator =
              [=] {
                return [=](const LayoutChoice& choice) {
                  return LayoutEstimate{.needed_bytes = bytes(choice), .tokens_per_second = speed(choice)};
                };
              },
          .plan = [=](const LayoutChoice& choice) { return plan_of(choice, bytes(choice), speed(choice)); }};
}
LayoutPlanner fake_planner() {
  return planner_of(bytes_of, speed_of);
}

std::vector<std::string> words_of_best(const LayoutSearch& search) {
  std::vector<std::string> words;
  for (const LayoutPlan& plan : search.best) words.push_back(choice_words({plan.layout, plan.recompute}));
  return words;
}

const FallenLayouts* fallen_by(const LayoutSearch& search, Obstacle obstacle) {
  const auto found =
      std::ranges::find_if(search.fallen, [&](const auto& group) { return group.nearest.obstacle == obstacle; });
  return found == search.fallen.end() ? nullptr : &*found;
}

TEST(LayoutSearch, RanksAllThatFitAsSortingThemDoes) {
  const std::vector<Candidate> candidates = candidates_of(8);
  std::vector<LayoutChoice> fitting;
  for (const Candidate& candidate : candidates) {
    if (candidate.obstacle == Obstacle::none && bytes_of(candidate.choice) <= kMemoryBytes) {
      fitting.push_back(candidate.choice);
    }
  }
  // The place of one is the number of those before it: no sorting, and ties are broken one by one.
  const auto is_before = [](const LayoutChoice& a, const LayoutChoice& b) {
    if (speed_of(a) != speed_of(b)) return speed_of(a) > speed_of(b);
    return bytes_of(a) < bytes_of(b);
  };
  const LayoutSearch search =
      search_layouts(candidates, fake_planner(), {.memory_bytes = kMemoryBytes, .top = fitting.size()});
  EXPECT_EQ(search.layouts, static_cast<int64_t>(candidates.size()));
  ASSERT_EQ(search.fitting, static_cast<int64_t>(fitting.size()));
  ASSERT_EQ(search.best.size(), fitting.size());
  std::set<std::string> seen;
  for (size_t i = 0; i < search.best.size(); ++i) {
    const LayoutChoice choice{search.best[i].layout, search.best[i].recompute};
    seen.insert(choice_words(choice));
    const auto before = std::ranges::count_if(fitting, [&](const auto& other) { return is_before(other, choice); });
    const auto after = std::ranges::count_if(fitting, [&](const auto& other) { return is_before(choice, other); });
    EXPECT_GE(static_cast<int64_t>(i), before);
    EXPECT_LT(static_cast<int64_t>(i), static_cast<int64_t>(fitting.size()) - after);
  }
  EXPECT_EQ(seen.size(), fitting.size()) << "each once";
}

TEST(LayoutSearch, OfEquallyFastOnesTheSmallerAndThenTheSimplerIsBetter) {
  const auto search = [](const LayoutPlanner& planner) {
    const LayoutSearch found = search_layouts(candidates_of(4), planner, {.memory_bytes = kMemoryBytes, .top = 1});
    return choice_words({found.best.at(0).layout, found.best.at(0).recompute});
  };
  const auto always = [](auto value) { return [=](const LayoutChoice&) { return value; }; };
  EXPECT_EQ(search(planner_of(always(10), always(5.0))), "--microbatch-size 4 --zero-stage 0");
  const auto is_small = [](const LayoutChoice& choice) {
    return choice.layout.schedule == parallel::ScheduleKind::zb_h1 && choice.recompute == model::Recompute::full &&
           choice.layout.mesh.tp == 2;
  };
  EXPECT_EQ(search(planner_of([=](const LayoutChoice& choice) { return is_small(choice) ? 9 : 10; },
                              [=](const LayoutChoice& choice) { return is_small(choice) ? 5.0 : 5.0 * (1 + 1e-8); })),
            "--microbatch-size 16 --recompute full --tensor-parallel 2 --pipeline-parallel 2 --pipeline-schedule zb-h1")
      << "a difference beyond six digits is none";
}

TEST(LayoutSearch, SaysWhatFellAndWhatCameNearestToFitting) {
  const std::vector<Candidate> candidates = candidates_of(8);
  const LayoutSearch search = search_layouts(candidates, fake_planner(), {.memory_bytes = kMemoryBytes});
  int64_t fallen = 0;
  for (const FallenLayouts& group : search.fallen) {
    fallen += group.count;
    if (group.nearest.obstacle == Obstacle::memory) continue;
    EXPECT_EQ(group.count, std::ranges::count(candidates, group.nearest.obstacle, &Candidate::obstacle));
  }
  EXPECT_EQ(search.fitting + fallen, search.layouts) << "every layout has one outcome";

  int64_t least_bytes = 0;
  for (const Candidate& candidate : candidates) {
    const int64_t bytes = bytes_of(candidate.choice);
    if (candidate.obstacle != Obstacle::none || bytes <= kMemoryBytes) continue;
    if (least_bytes == 0 || bytes < least_bytes) least_bytes = bytes;
  }
  const FallenLayouts* by_memory = fallen_by(search, Obstacle::memory);
  ASSERT_NE(by_memory, nullptr);
  EXPECT_EQ(bytes_of(by_memory->nearest.choice), least_bytes);
  EXPECT_EQ(search_layouts(candidates, fake_planner(), {.memory_bytes = 499}).fitting, 0);
}

TEST(LayoutSearch, TheNumberOfThreadsChangesNothing) {
  const SearchQuestion question{.ranks = 8, .memory_bytes = kMemoryBytes, .memory_source = "test"};
  const auto report = [&](int threads) {
    const LayoutSearch search =
        search_layouts(candidates_of(8), fake_planner(), {.memory_bytes = kMemoryBytes, .top = 10, .threads = threads});
    return search_table(search, question);
  };
  const std::string alone = report(1);
  EXPECT_EQ(report(2), alone);
  EXPECT_EQ(report(5), alone);
}

TEST(LayoutSearch, AsksForEachEstimateOnceAndSharesEstimatorsAmongPipelinesAlone) {
  std::mutex mutex;
  std::set<std::string> asked;
  const LayoutPlanner planner{
      .estimator =
          [&] {
            return [&, first = std::optional<LayoutChoice>()](const LayoutChoice& choice) mutable {
              const std::scoped_lock lock(mutex);
              if (!first) first = choice;
              EXPECT_TRUE(differ_in_pipeline_alone(*first, choice)) << choice_words(choice);
              EXPECT_TRUE(asked.insert(choice_words(choice)).second) << "again: " << choice_words(choice);
              return LayoutEstimate{.needed_bytes = 10};
            };
          },
      .plan = [](const LayoutChoice& choice) { return plan_of(choice, 10, 1); }};
  const LayoutSearch search = search_layouts(candidates_of(8), planner, {.memory_bytes = kMemoryBytes, .threads = 2});
  EXPECT_EQ(static_cast<int64_t>(asked.size()), search.fitting);
}

TEST(LayoutSearch, PlansTheBestAndSortsThemByThat) {
  std::mutex mutex;
  std::set<std::string> planned;
  LayoutPlanner planner = fake_planner();
  planner.plan = [&](const LayoutChoice& choice) {
    const std::scoped_lock lock(mutex);
    EXPECT_TRUE(planned.insert(choice_words(choice)).second) << "once";
    // As a whole the larger microbatches turn out slower.
    return plan_of(choice, bytes_of(choice), 100 - static_cast<double>(choice.layout.microbatch_size));
  };
  const LayoutSearch search =
      search_layouts(candidates_of(8), planner, {.memory_bytes = kMemoryBytes, .top = 5, .threads = 2});
  const std::vector<std::string> best = words_of_best(search);
  EXPECT_EQ(planned, std::set<std::string>(best.begin(), best.end()));
  EXPECT_EQ(best.size(), 5U);
  EXPECT_TRUE(std::ranges::is_sorted(search.best, std::ranges::greater(), &LayoutPlan::tokens_per_second));
}

TEST(LayoutSearch, FailuresOfThePlannerReachTheCaller) {
  std::atomic<int> calls = 0;
  const auto failing = [&](const LayoutChoice&) -> double {
    if (++calls == 5) throw runtime::Error(runtime::ErrorKind::io, "no more");
    return 1;
  };
  const auto bytes = [](const LayoutChoice&) { return 10; };
  EXPECT_THROW(
      search_layouts(candidates_of(8), planner_of(bytes, failing), {.memory_bytes = kMemoryBytes, .threads = 3}),
      runtime::Error);
  LayoutPlanner forgetful = fake_planner();
  forgetful.plan = [](const LayoutChoice& choice) { return plan_of(choice, bytes_of(choice) + 1, 1); };
  EXPECT_THROW(search_layouts(candidates_of(8), forgetful, {.memory_bytes = kMemoryBytes}), runtime::Error)
      << "an estimate's memory is exact";
}

TEST(SearchReport, TableAndJsonSayTheSame) {
  LayoutPlanner planner =
      planner_of([](const LayoutChoice& choice) { return choice.layout.zero_stage == 3 ? 950'000'000 : 2'100'000'000; },
                 [](const LayoutChoice& choice) { return static_cast<double>(1'234'000 + digest(choice)); });
  planner.plan = [plan = planner.plan](const LayoutChoice& choice) {
    LayoutPlan planned = plan(choice);
    planned.mfu = 0.4567;
    planned.time.bubble_fraction = 0.125;
    return planned;
  };
  const LayoutSearch search = search_layouts(candidates_of(8), planner, {.memory_bytes = 1'000'000'000, .top = 2});
  const SearchQuestion question{.ranks = 8, .memory_bytes = 1'000'000'000, .memory_source = "--device-memory"};
  const std::string table = search_table(search, question);
  const boost::json::object object = to_json(search, question);
  const boost::json::object& winner = object.at("best").at(0).as_object();
  const std::string options(winner.at("options").as_string());
  EXPECT_NE(table.find("options of the best for train: " + options + "\n"), std::string::npos) << table;
  EXPECT_NE(options.find("--zero-stage 3"), std::string::npos) << options;
  EXPECT_EQ(object.at("best").as_array().size(), 2U);
  EXPECT_EQ(winner.at("needed_bytes").as_int64(), 950'000'000);
  EXPECT_NE(table.find(" fit in 1.0 GB a rank (--device-memory)\n"), std::string::npos) << table;
  EXPECT_NE(table.find("45.7%       12.5%    950.0 MB  tp "), std::string::npos) << table;
  EXPECT_NE(table.find("needs 2.1 GB a rank, 1.1 GB too much: tp 1 x dp 8 x pp 1, ZeRO 0, "), std::string::npos)
      << table;
  int64_t fallen = 0;
  for (const boost::json::value& group : object.at("fallen").as_array()) fallen += group.at("count").as_int64();
  EXPECT_EQ(object.at("layouts").as_int64(), object.at("fitting").as_int64() + fallen);
}

}  // namespace
}  // namespace trireme::launch
