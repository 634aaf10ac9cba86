#include "launch/layout_space.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "launch/execution_words.h"
#include "launch/option_tables.h"
#include "launch/option_words.h"
#include "runtime/error.h"

namespace trireme::launch {
namespace {

using parallel::ScheduleKind;

constexpr int64_t kT = 32;

/// Six layers of 12 heads, 4 K/V heads; 12 ranks, 6 on a machine, 48 sequences a step.
LayoutSpace small_space(int ranks = 12) {
  LayoutSpace space{.options = {},
                    .given = {},
                    .config = {},
                    .sequence_length = kT,
                    .ranks = ranks,
                    .ranks_per_machine = std::min(ranks, 6)};
  space.options.global_batch_size = 48;
  space.config.layers = 6;
  space.config.heads = 12;
  space.config.kv_heads = 4;
  space.config.width = 48;
  space.config.feed_forward_width = 192;
  return space;
}

std::vector<LayoutChoice> allowed(const std::vector<Candidate>& candidates) {
  std::vector<LayoutChoice> choices;
  for (const Candidate& candidate : candidates) {
    if (candidate.obstacle == Obstacle::none) choices.push_back(candidate.choice);
  }
  return choices;
}

/// What train itself makes of options for each combination of values in reach, however senseless; nothing where it
/// refuses.
std::optional<LayoutChoice> choice_of(const LayoutSpace& space, TrainOptions options) {
  try {
    TrainOptions checked = options;
    checked.steps = 1;
    check(checked);
    return LayoutChoice{resolve_layout(options, space.config, kT, space.ranks),
                        recompute_of(options.recompute, "--recompute")};
  } catch (const runtime::Error&) {
    return std::nullopt;
  }
}

/// Every layout of the space by trying all numbers, with the checks of train alone.
std::vector<LayoutChoice> by_brute_force(const LayoutSpace& space) {
  std::vector<LayoutChoice> choices;
  TrainOptions o = space.options;
  for (o.tensor_parallel = 1; o.tensor_parallel <= space.ranks; ++o.tensor_parallel) {
    if (space.ranks_per_machine % o.tensor_parallel != 0) continue;
    for (o.pipeline_parallel = 1; o.pipeline_parallel <= space.ranks; ++o.pipeline_parallel) {
      for (const char* schedule : {"1f1b", "zb-h1"}) {
        o.pipeline_schedule = schedule;
        for (o.virtual_stages = 1; o.virtual_stages <= space.config.layers; ++o.virtual_stages) {
          for (o.microbatch_size = 1; o.microbatch_size <= o.global_batch_size; o.microbatch_size *= 2) {
            for (const int64_t zero_stage : {0, 1, 2, 3}) {
              if (zero_stage > 0 && o.tensor_parallel * o.pipeline_parallel == space.ranks) continue;  // dp 1
              o.zero_stage = zero_stage;
              for (const std::string& recompute : recompute_words()) {
                o.recompute = recompute;
                if (const auto choice = choice_of(space, o)) choices.push_back(*choice);
              }
            }
          }
        }
      }
    }
  }
  return choices;
}

const Candidate* nearest(const std::vector<Candidate>& candidates, Obstacle obstacle) {
  const Candidate* found = nullptr;
  for (const Candidate& candidate : candidates) {
    if (candidate.obstacle != obstacle) continue;
    if (found == nullptr || candidate.distance < found->distance) found = &candidate;
  }
  return found;
}

TEST(LayoutSpace, HoldsExactlyWhatTrainTakes) {
  for (const int ranks : {1, 2, 8, 12}) {
    const LayoutSpace space = small_space(ranks);
    const std::vector<LayoutChoice> found = allowed(layout_candidates(space));
    const std::vector<LayoutChoice> expected = by_brute_force(space);
    EXPECT_EQ(found.size(), expected.size()) << ranks << " ranks";
    for (const LayoutChoice& choice : expected) {
      EXPECT_EQ(std::ranges::count(found, choice), 1) << ranks << " ranks, " << choice_words(choice);
    }
  }
}

TEST(LayoutSpace, WordsOfAChoiceAreTakenByTrainAsThatChoice) {
  const LayoutSpace space = small_space();
  for (const LayoutChoice& choice : allowed(layout_candidates(space))) {
    TrainOptions options;
    std::vector<std::string> words = words_of_line(choice_words(choice));
    const std::vector<std::string> others{
        "--data", "d", "--run", "r", "--model", "m", "--steps", "1", "--global-batch-size", "48"};
    words.insert(words.end(), others.begin(), others.end());
    ASSERT_TRUE(fill_options(option_table(options), words));
    check(options);
    ASSERT_EQ(resolve_layout(options, space.config, kT, space.ranks), choice.layout) << choice_words(choice);
    ASSERT_EQ(recompute_of(options.recompute, ""), choice.recompute) << choice_words(choice);
  }
}

TEST(LayoutSpace, SaysWhatStandsInTheWay) {
  LayoutSpace space = small_space(64);
  space.options.global_batch_size = 16;
  space.ranks_per_machine = 2;
  const std::vector<Candidate> candidates = layout_candidates(space);
  const auto reason = [&](Obstacle obstacle) {
    const Candidate* candidate = nearest(candidates, obstacle);
    return candidate == nullptr ? "none" : candidate->reason;
  };
  EXPECT_EQ(reason(Obstacle::tensor_parallel),
            "--tensor-parallel 8 does not divide the model's 12 heads and 4 K/V heads");
  EXPECT_EQ(reason(Obstacle::machine), "--tensor-parallel 4 does not divide the 2 ranks of a machine");
  EXPECT_EQ(reason(Obstacle::layers), "--pipeline-parallel 8 is more than the model's 6 layers");
  EXPECT_EQ(reason(Obstacle::batch), "--global-batch-size 16 does not divide by 32 data-parallel ranks");
  EXPECT_EQ(reason(Obstacle::microbatches),
            "--virtual-stages 2 takes microbatches in groups of --pipeline-parallel 2, got 1 (--global-batch-size 16 / "
            "(16 data-parallel ranks x --microbatch-size 1))");
}

TEST(LayoutSpace, WhatIsGivenStays) {
  LayoutSpace space = small_space();
  space.options.global_batch_size = 36;
  space.options.recompute = "selective";
  space.options.microbatch_size = 3;
  space.options.pipeline_parallel = 2;
  space.options.zero_stage = 1;
  space.given = {"recompute", "microbatch-size", "pipeline-parallel", "zero-stage", "model"};
  std::vector<LayoutChoice> choices = allowed(layout_candidates(space));
  ASSERT_FALSE(choices.empty());
  for (const LayoutChoice& choice : choices) {
    EXPECT_EQ(choice.recompute, model::Recompute::selective);
    EXPECT_EQ(choice.layout.microbatch_size, 3);
    EXPECT_EQ(choice.layout.mesh.pp, 2);
    EXPECT_EQ(choice.layout.zero_stage, choice.layout.mesh.dp > 1 ? 1 : 0);
  }
  const auto has = [&](ScheduleKind schedule, int chunks) {
    return std::ranges::any_of(choices, [&](const LayoutChoice& choice) {
      return choice.layout.schedule == schedule && choice.layout.virtual_stages == chunks;
    });
  };
  EXPECT_TRUE(has(ScheduleKind::one_f_one_b, 1) && has(ScheduleKind::one_f_one_b, 3) && has(ScheduleKind::zb_h1, 1));
  EXPECT_FALSE(has(ScheduleKind::gpipe, 1)) << "only where it is given";

  space.options.pipeline_schedule = "gpipe";
  space.given.emplace_back("pipeline-schedule");
  choices = allowed(layout_candidates(space));
  EXPECT_TRUE(std::ranges::all_of(choices, [](const auto& one) { return one.layout.schedule == ScheduleKind::gpipe; }));
  EXPECT_FALSE(choices.empty());
}

TEST(LayoutSpace, AGivenScheduleNeedsAPipeline) {
  LayoutSpace space = small_space(4);
  space.options.pipeline_schedule = "zb-h1";
  space.given = {"pipeline-schedule"};
  const std::vector<Candidate> candidates = layout_candidates(space);
  ASSERT_NE(nearest(candidates, Obstacle::pipeline), nullptr);
  EXPECT_EQ(nearest(candidates, Obstacle::pipeline)->reason, "--pipeline-schedule zb-h1 needs a pipeline");
  EXPECT_TRUE(std::ranges::all_of(allowed(candidates), [](const auto& choice) {
    return choice.layout.mesh.pp > 1 && choice.layout.schedule == ScheduleKind::zb_h1;
  }));
}

TEST(LayoutSpace, RefusesWhatDividesTheRanksInNoWay) {
  LayoutSpace space = small_space(8);
  space.options.tensor_parallel = 3;
  space.given = {"tensor-parallel"};
  try {
    static_cast<void>(layout_candidates(space));
    FAIL() << "3 divides 8";
  } catch (const runtime::Error& error) {
    EXPECT_EQ(error.kind(), runtime::ErrorKind::usage);
    EXPECT_EQ(std::string(error.what()).find("--tensor-parallel 3 needs 3 ranks or a multiple of that, got 8: "), 0U);
  }
}

}  // namespace
}  // namespace trireme::launch
