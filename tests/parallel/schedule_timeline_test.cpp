#include "parallel/schedule_timeline.h"

#include <gtest/gtest.h>

#include <string>

#include "runtime/error.h"

namespace trireme::parallel {
namespace {

Action forward(int microbatch, int chunk = 0) {
  return {ActionKind::forward, chunk, microbatch};
}
Action backward(int microbatch, int chunk = 0) {
  return {ActionKind::backward, chunk, microbatch};
}

std::string error_of(const ScheduleSpec& spec, const std::vector<std::vector<Action>>& actions) {
  try {
    simulate(spec, actions, {});
  } catch (const runtime::Error& error) {
    EXPECT_EQ(error.kind(), runtime::ErrorKind::internal);
    return error.what();
  }
  return "no error";
}

TEST(ScheduleTimeline, MessagesTakeTheirTime) {
  const Timeline timeline =
      simulate({ScheduleKind::one_f_one_b, 2, 1, 1}, {.chunks = {{.forward = 1, .backward_input = 2}}, .message = 0.5});
  EXPECT_DOUBLE_EQ(timeline.stages[1].actions[0].start, 1.5);
  EXPECT_DOUBLE_EQ(timeline.stages[0].actions[1].start, 6);  // 2.5 + 3 + 0.5
  EXPECT_DOUBLE_EQ(timeline.makespan, 9);
  EXPECT_DOUBLE_EQ(timeline.stages[0].busy, 4);
  EXPECT_DOUBLE_EQ(timeline.bubble_fraction(), 1 - 8.0 / 18);
}

TEST(ScheduleTimeline, EachChunkHasItsOwnTimes) {
  const Timeline timeline = simulate({ScheduleKind::gpipe, 2, 2, 1}, {.chunks = {{1}, {10}, {100}, {1000}}});
  EXPECT_DOUBLE_EQ(timeline.stages[0].actions[1].start, 11);
  EXPECT_DOUBLE_EQ(timeline.stages[1].actions[1].end, 1111);
  EXPECT_DOUBLE_EQ(timeline.makespan, 1111 + 4 * 2);
}

// The second message may be on its way while the first is worked on; the third receive is not yet posted.
TEST(ScheduleTimeline, AGradientIsSentWhenTheOneBeforeItHasArrived) {
  const ScheduleSpec spec{ScheduleKind::one_f_one_b, 2, 1, 5};
  std::vector<std::vector<Action>> actions(2);
  for (int i = 0; i < 5; ++i) {
    actions[0].push_back(forward(i));
    actions[1].push_back(forward(i));
    actions[1].push_back(backward(i));
  }
  for (int i = 0; i < 5; ++i) actions[0].push_back(backward(i));
  const Timeline timeline = simulate(spec, actions, {.chunks = {{.forward = 10}, {.forward = 1}}});
  const std::vector<TimedAction>& last = timeline.stages[1].actions;
  EXPECT_DOUBLE_EQ(last[5].end, 33);    // backward of 2, which can be sent when stage 0 begins its first backward,
  EXPECT_DOUBLE_EQ(last[6].start, 50);  // so that forward of 3, whose input is there at 40, begins then
  EXPECT_DOUBLE_EQ(timeline.makespan, 60);
}

// A receive posted ahead lets a message travel while its stage computes, one message at a time.
TEST(ScheduleTimeline, OneReceiveIsPostedAhead) {
  const ScheduleSpec spec{ScheduleKind::gpipe, 2, 1, 3};
  const Timeline timeline = simulate(spec, {.chunks = {{.forward = 1}, {.forward = 10}}, .message = 4});
  EXPECT_DOUBLE_EQ(timeline.stages[1].actions[0].start, 5);
  EXPECT_DOUBLE_EQ(timeline.stages[1].actions[1].start, 15);
  EXPECT_DOUBLE_EQ(timeline.stages[1].actions[2].start, 25);
  const Timeline slow_messages = simulate(spec, {.chunks = {{.forward = 1}, {.forward = 3}}, .message = 4});
  EXPECT_DOUBLE_EQ(slow_messages.stages[1].actions[1].start, 9);  // posted at 5, when the first began
  EXPECT_DOUBLE_EQ(slow_messages.stages[1].actions[2].start, 13);
}

TEST(ScheduleTimeline, AStandstillNamesWhoWaitsForWhat) {
  const std::string message =
      error_of({ScheduleKind::gpipe, 2, 1, 1}, {{backward(0), forward(0)}, {forward(0), backward(0)}});
  EXPECT_EQ(message,
            "pipeline schedule stands still: stage 0 cannot start backward of microbatch 0 in chunk 0; stage 1 cannot "
            "start forward of microbatch 0 in chunk 0.");
}

// Why gpipe passes its chunks in groups: stage 0 cannot send the gradients of all microbatches to the last stage before
// that has done with its own.
TEST(ScheduleTimeline, AllMicrobatchesOfAChunkBackwardBeforeTheNextChunkStandStill) {
  const auto chunk_after_chunk = [](int microbatches) {
    std::vector<Action> actions;
    for (int chunk = 0; chunk < 2; ++chunk) {
      for (int i = 0; i < microbatches; ++i) actions.push_back(forward(i, chunk));
    }
    for (int chunk = 2; chunk-- > 0;) {
      for (int i = 0; i < microbatches; ++i) actions.push_back(backward(i, chunk));
    }
    return error_of({ScheduleKind::gpipe, 2, 2, microbatches}, {actions, actions});
  };
  EXPECT_EQ(chunk_after_chunk(5), "no error");
  EXPECT_NE(chunk_after_chunk(6).find("stage 0 cannot send from backward of microbatch 2 in chunk 1;"),
            std::string::npos);
}

TEST(ScheduleTimeline, MessagesThatMeetTheReceiveOfAnotherAreFound) {
  const std::string message =
      error_of({ScheduleKind::gpipe, 2, 1, 2}, {{forward(0), forward(1)}, {forward(1), forward(0)}});
  EXPECT_EQ(message, "pipeline schedule: stage 0 sends microbatch 0 of its chunk 0 where another is received");
}

TEST(ScheduleTimeline, TimesOfTheWrongNumberOfChunksAreRefused) {
  EXPECT_THROW(simulate({ScheduleKind::gpipe, 2, 2, 1}, {.chunks = {{}, {}}}), runtime::Error);
}

}  // namespace
}  // namespace trireme::parallel
