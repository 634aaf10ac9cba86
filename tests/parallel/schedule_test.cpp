#include "parallel/schedule.h"

#include <gtest/gtest.h>

#include <set>
#include <string>

#include "runtime/error.h"
#include "tests/parallel/schedule_checks.h"

namespace trireme::parallel {
namespace {

// The schedules that are looked at in every run; all others are in schedule_grid_test.cpp. Stages: 1 to 12 and around
// powers of two. Microbatches: up to 4 stages all of 1 to 256, else few, many, and those around multiples of the
// stages.
std::vector<int> stage_counts() {
  return {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 16, 17, 31, 32, 33, 63, 64};
}

std::set<int> microbatch_counts(int stages) {
  std::set<int> counts;
  if (stages <= 4) {
    for (int count = 1; count <= 256; ++count) counts.insert(count);
    return counts;
  }
  const int p = stages;
  for (const int count : {1, 2, 3, p - 1, p, p + 1, 2 * p - 1, 2 * p, 2 * p + 1, 3 * p, 4 * p, 256 / p * p, 255, 256}) {
    if (count <= 256) counts.insert(count);
  }
  return counts;
}

void check_selection(ScheduleKind kind, int chunks) {
  for (const int stages : stage_counts()) {
    for (const int microbatches : microbatch_counts(stages)) {
      if (kind == ScheduleKind::one_f_one_b && chunks > 1 && microbatches % stages != 0) continue;
      ASSERT_EQ(fault_of({kind, stages, chunks, microbatches}, {}), "");
    }
  }
}

std::string usage_error(const ScheduleSpec& spec) {
  try {
    make_schedule(spec, 0);
  } catch (const runtime::Error& error) {
    EXPECT_EQ(error.kind(), runtime::ErrorKind::usage);
    return error.what();
  }
  return "no error";
}

// "F0 F1 B0 W0": kind, microbatch and, with chunks, behind a dot the chunk.
std::string text_of(const ScheduleSpec& spec, int stage) {
  std::string text;
  for (const Action& action : make_schedule(spec, stage)) {
    if (!text.empty()) text += ' ';
    text += action.kind == ActionKind::forward ? 'F' : action.kind == ActionKind::backward_weight ? 'W' : 'B';
    text += std::to_string(action.microbatch);
    if (spec.chunks > 1) text += "." + std::to_string(action.chunk);
  }
  return text;
}

TEST(Schedule, NamesAreThoseOfTheOption) {
  EXPECT_EQ(name(ScheduleKind::gpipe), "gpipe");
  EXPECT_EQ(name(ScheduleKind::one_f_one_b), "1f1b");
  EXPECT_EQ(name(ScheduleKind::zb_h1), "zb-h1");
}

TEST(Schedule, OrdersAreThoseOfThePapers) {
  const ScheduleSpec one_f_one_b{ScheduleKind::one_f_one_b, 3, 1, 4};
  EXPECT_EQ(text_of(one_f_one_b, 0), "F0 F1 F2 B0 F3 B1 B2 B3");
  EXPECT_EQ(text_of(one_f_one_b, 2), "F0 B0 F1 B1 F2 B2 F3 B3");
  const ScheduleSpec zero_bubble{ScheduleKind::zb_h1, 3, 1, 4};
  EXPECT_EQ(text_of(zero_bubble, 0), "F0 F1 F2 B0 W0 F3 B1 W1 B2 W2 B3 W3");
  EXPECT_EQ(text_of(zero_bubble, 1), "F0 F1 B0 F2 B1 W0 F3 B2 W1 B3 W2 W3");
  EXPECT_EQ(text_of(zero_bubble, 2), "F0 B0 F1 B1 F2 B2 W0 F3 B3 W1 W2 W3");
  const ScheduleSpec interleaved{ScheduleKind::one_f_one_b, 2, 2, 4};
  EXPECT_EQ(text_of(interleaved, 0), "F0.0 F1.0 F0.1 F1.1 F2.0 B0.1 F3.0 B1.1 F2.1 B0.0 F3.1 B1.0 B2.1 B3.1 B2.0 B3.0");
  EXPECT_EQ(text_of(interleaved, 1), "F0.0 F1.0 F0.1 B0.1 F1.1 B1.1 F2.0 B0.0 F3.0 B1.0 F2.1 B2.1 F3.1 B3.1 B2.0 B3.0");
  EXPECT_EQ(text_of({ScheduleKind::gpipe, 2, 1, 3}, 0), "F0 F1 F2 B0 B1 B2");
  EXPECT_EQ(text_of({ScheduleKind::gpipe, 2, 2, 3}, 1), "F0.0 F1.0 F0.1 F1.1 F2.0 F2.1 B0.1 B1.1 B0.0 B1.0 B2.1 B2.0");
}

TEST(Schedule, FewerMicrobatchesThanStagesAreAllowedWithOneChunk) {
  EXPECT_EQ(text_of({ScheduleKind::one_f_one_b, 4, 1, 1}, 0), "F0 B0");
  EXPECT_EQ(text_of({ScheduleKind::zb_h1, 4, 1, 2}, 3), "F0 B0 F1 B1 W0 W1");
}

TEST(Schedule, OneFOneBMeetsItsFormulas) {
  check_selection(ScheduleKind::one_f_one_b, 1);
}
TEST(Schedule, InterleavedOfTwoChunksMeetsItsFormulas) {
  check_selection(ScheduleKind::one_f_one_b, 2);
}
TEST(Schedule, InterleavedOfThreeChunksMeetsItsFormulas) {
  check_selection(ScheduleKind::one_f_one_b, 3);
}
TEST(Schedule, InterleavedOfFourChunksMeetsItsFormulas) {
  check_selection(ScheduleKind::one_f_one_b, 4);
}
TEST(Schedule, ZeroBubbleMeetsItsFormulasAndIsNeverSlowerThanOneFOneB) {
  check_selection(ScheduleKind::zb_h1, 1);
}
TEST(Schedule, GPipeMeetsItsFormulas) {
  check_selection(ScheduleKind::gpipe, 1);
}
TEST(Schedule, GPipeOfTwoChunksMeetsItsFormulas) {
  check_selection(ScheduleKind::gpipe, 2);
}
TEST(Schedule, GPipeOfThreeChunksMeetsItsFormulas) {
  check_selection(ScheduleKind::gpipe, 3);
}
TEST(Schedule, GPipeOfFourChunksMeetsItsFormulas) {
  check_selection(ScheduleKind::gpipe, 4);
}

TEST(Schedule, FormulasHoldWhenForwardAndBackwardTakeDifferentTimes) {
  for (const ChunkTimes& times : {ChunkTimes{1, 2, 0}, ChunkTimes{2, 3, 1}, ChunkTimes{3, 1, 1}, ChunkTimes{1, 1, 2},
                                  ChunkTimes{1, 3, 2}, ChunkTimes{2, 1, 1.5}, ChunkTimes{1, 1.3, 1.2}}) {
    for (int stages = 1; stages <= 9; ++stages) {
      for (int microbatches = 1; microbatches <= 30; ++microbatches) {
        ASSERT_EQ(fault_of({ScheduleKind::one_f_one_b, stages, 1, microbatches}, times), "");
        ASSERT_EQ(fault_of({ScheduleKind::zb_h1, stages, 1, microbatches}, times), "");
        ASSERT_EQ(fault_of({ScheduleKind::gpipe, stages, 3, microbatches}, times), "");
        if (microbatches % stages > 0) continue;
        ASSERT_EQ(fault_of({ScheduleKind::one_f_one_b, stages, 3, microbatches}, times), "");
      }
    }
  }
}

// A third of 1F1B's, as the paper says: (p - 1)(tf + tb - tw) of (p - 1)(tf + tb + tw).
TEST(Schedule, ZeroBubbleHasAThirdOfTheBubbleOfOneFOneB) {
  const double work = 3.0 * 16;
  const double one_f_one_b = simulate({ScheduleKind::one_f_one_b, 8, 1, 16}, {}).makespan - work;
  EXPECT_DOUBLE_EQ(simulate({ScheduleKind::zb_h1, 8, 1, 16}, {}).makespan - work, one_f_one_b / 3);
}

TEST(Schedule, PeakInFlightLastsUntilTheLastPartOfTheBackward) {
  const ScheduleSpec interleaved{ScheduleKind::one_f_one_b, 2, 2, 4};
  EXPECT_EQ(peak_in_flight(make_schedule(interleaved, 0), 0), 4);
  EXPECT_EQ(peak_in_flight(make_schedule(interleaved, 0), 1), 2);
  EXPECT_EQ(peak_in_flight(make_schedule({ScheduleKind::zb_h1, 4, 1, 8}, 3), 0), 4);
  EXPECT_EQ(peak_in_flight(make_schedule({ScheduleKind::one_f_one_b, 4, 1, 8}, 3), 0), 1);
  EXPECT_EQ(peak_in_flight({}, 0), 0);
}

TEST(Schedule, InterleavingNamesTheNearestNumberOfMicrobatches) {
  const ScheduleKind kind = ScheduleKind::one_f_one_b;
  EXPECT_EQ(usage_error({kind, 4, 2, 9}),
            "--virtual-stages 2 takes microbatches in multiples of --pipeline-parallel 4, not 9: nearest is 8 "
            "(--global-batch-size / (data parallel x --microbatch-size))");
  const auto nearest = [&](int stages, int microbatches) {
    const std::string message = usage_error({kind, stages, 3, microbatches});
    const size_t at = message.find("nearest is ");
    return at == std::string::npos ? -1 : std::stoi(message.substr(at + 11));
  };
  EXPECT_EQ(nearest(4, 11), 12);
  EXPECT_EQ(nearest(4, 10), 12);
  EXPECT_EQ(nearest(8, 1), 8);  // too few
  EXPECT_EQ(nearest(3, 7), 6);
}

TEST(Schedule, BadNumbersAreNamed) {
  EXPECT_EQ(usage_error({ScheduleKind::zb_h1, 4, 2, 8}),
            "--pipeline-schedule zb-h1 takes --virtual-stages 1, not 2; 1f1b takes more");
  EXPECT_EQ(usage_error({ScheduleKind::gpipe, 0, 1, 8}), "--pipeline-parallel is 0, expected 1 or more");
  EXPECT_EQ(usage_error({ScheduleKind::gpipe, 1, 0, 8}), "--virtual-stages is 0, expected 1 or more");
  EXPECT_EQ(
      usage_error({ScheduleKind::gpipe, 1, 1, 0}),
      "the number of microbatches, --global-batch-size / (data parallel x --microbatch-size), is 0, expected 1 or "
      "more");
}

}  // namespace
}  // namespace trireme::parallel
