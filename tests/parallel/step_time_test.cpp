#include "parallel/step_time.h"

#include <gtest/gtest.h>

#include "runtime/error.h"

namespace trireme::parallel {
namespace {

using runtime::Calibration;
using runtime::TimeModel;

/// An op named by its seconds: "1s" of one flop each takes a second, as measured.
Calibration machine() {
  Calibration calibration;
  calibration.fma_flops_per_second = 1e9;
  calibration.memory = {.read = 1e9, .copy = 1e9, .triad = 1e9};
  calibration.ops = {{.op = "work", .flops = 1, .seconds = 1}};
  // A message takes its bytes in seconds, however many ranks there are.
  calibration.within_node = {.latency_seconds = 0, .bytes_per_second = 1};
  return calibration;
}

/// `count` actions of so many seconds each.
ActionRecord work(int64_t seconds, int64_t count) {
  ActionRecord record{.count = count};
  for (int64_t i = 0; i < count; ++i) record.ops.add({.op = "work", .flops = seconds}, 0);
  return record;
}

void send(ActionRecord& record, const std::string& axis, const std::string& op, int64_t calls, int64_t bytes) {
  record.sent[axis][op] = {.calls = calls, .messages = calls, .bytes = bytes};
}

/// A stage of one chunk: forwards of 1 s, backwards of 2 s, an update of 5 s.
StepRecord stage_record(int64_t microbatches) {
  StepRecord record;
  record.chunks.resize(1);
  record.chunks[0].forward = work(1, microbatches);
  record.chunks[0].backward = work(2, microbatches);
  record.update = work(5, 1);
  return record;
}

double split_sum(const StepTime& time) {
  return time.compute_seconds + time.tp_seconds + time.bubble_seconds + time.dp_seconds + time.update_seconds;
}

StepTime time_of(const StepToTime& step, const Calibration& calibration = machine()) {
  const StepTime time = time_step(step, TimeModel(calibration, runtime::DType::fp32));
  EXPECT_DOUBLE_EQ(split_sum(time), time.step_seconds);
  return time;
}

TEST(StepTime, OneRankComputesAndUpdates) {
  const StepRecord record = stage_record(4);
  const StepTime time = time_of({.spec = {.microbatches = 4}, .stages = {&record}});
  EXPECT_DOUBLE_EQ(time.compute_seconds, 4 * 3);
  EXPECT_DOUBLE_EQ(time.update_seconds, 5);
  EXPECT_DOUBLE_EQ(time.step_seconds, 17);
  EXPECT_DOUBLE_EQ(time.bubble_seconds, 0);
  EXPECT_DOUBLE_EQ(time.bubble_fraction, 0);
}

TEST(StepTime, FewRecordedMicrobatchesStandForMore) {
  const StepRecord record = stage_record(2);
  EXPECT_DOUBLE_EQ(time_of({.spec = {.microbatches = 10}, .stages = {&record}}).step_seconds, 10 * 3 + 5);
}

TEST(StepTime, TensorParallelMessagesAreWaitedFor) {
  StepRecord record = stage_record(4);
  send(record.chunks[0].forward, "tp", "all_gather", 4, 8);    // 2 s an action
  send(record.chunks[0].backward, "tp", "all_gather", 4, 16);  // 4 s
  send(record.update, "tp", "all_reduce", 1, 1);
  Calibration calibration = machine();
  calibration.hidden_message_part = 1;
  const StepTime time = time_of({.mesh = {.tp = 2}, .spec = {.microbatches = 4}, .stages = {&record}}, calibration);
  EXPECT_DOUBLE_EQ(time.tp_seconds, 4 * 6);
  EXPECT_DOUBLE_EQ(time.update_seconds, 6);
  EXPECT_DOUBLE_EQ(time.step_seconds, 12 + 24 + 6);
}

TEST(StepTime, ReductionsAreHiddenAsFarAsTheMachineCan) {
  StepRecord record = stage_record(4);
  send(record.chunks[0].backward, "dp", "reduce_scatter", 3, 6);
  send(record.reduction, "dp", "reduce_scatter", 1, 1);  // the last one has nothing to hide behind
  send(record.update, "dp", "all_gather", 4, 4);
  send(record.update, "dp", "all_reduce", 1, 2);
  const StepToTime step{.mesh = {.dp = 2}, .spec = {.microbatches = 4}, .stages = {&record}};
  const StepTime cpu = time_of(step);
  EXPECT_DOUBLE_EQ(cpu.dp_seconds, 6 + 1 + 4);
  EXPECT_DOUBLE_EQ(cpu.update_seconds, 5 + 2);
  EXPECT_DOUBLE_EQ(cpu.step_seconds, 12 + 11 + 7);
  Calibration gpu = machine();
  gpu.hidden_message_part = 0.75;
  EXPECT_DOUBLE_EQ(time_of(step, gpu).dp_seconds, 1 + 0.25 * 10);
  // Twelve seconds of computing hide no more than twelve seconds.
  record.chunks[0].backward.sent["dp"]["reduce_scatter"].bytes = 96;
  EXPECT_DOUBLE_EQ(time_of(step, gpu).dp_seconds, 1 + 100 - 12);
}

TEST(StepTime, APipelineIsPlayedThroughItsSchedule) {
  const StepRecord first = stage_record(4);
  const StepRecord last = stage_record(4);
  const StepToTime step{.mesh = {.pp = 2}, .spec = {.stages = 2, .microbatches = 4}, .stages = {&first, &last}};
  const StepTime time = time_of(step);
  EXPECT_DOUBLE_EQ(time.compute_seconds, 12);
  EXPECT_DOUBLE_EQ(time.bubble_seconds, 3);  // (p - 1)(tf + tb), schedule.h
  EXPECT_DOUBLE_EQ(time.step_seconds, 12 + 3 + 5);
  EXPECT_DOUBLE_EQ(time.bubble_fraction, 0.2);
  ASSERT_EQ(time.timeline.stages.size(), 2u);
}

TEST(StepTime, TheBusiestStageIsTheOneThatIsSplit) {
  const StepRecord first = stage_record(4);
  StepRecord last = stage_record(4);
  last.chunks[0].forward = work(3, 4);
  last.update = work(7, 1);
  const StepToTime step{.mesh = {.pp = 2}, .spec = {.stages = 2, .microbatches = 4}, .stages = {&first, &last}};
  const StepTime time = time_of(step);
  EXPECT_DOUBLE_EQ(time.compute_seconds, 4 * (3 + 2));
  EXPECT_DOUBLE_EQ(time.update_seconds, 7);
  EXPECT_DOUBLE_EQ(time.bubble_seconds, 1 + 2);  // the first forward before it, the last backward behind it
  EXPECT_DOUBLE_EQ(time.step_seconds, 23 + 7);
}

TEST(StepTime, ZeroBubbleActionsHaveTimesOfTheirOwn) {
  StepRecord record = stage_record(4);
  record.chunks[0].backward = {};
  record.chunks[0].backward_input = work(1, 4);
  record.chunks[0].backward_weight = work(1, 4);
  const StepToTime step{.mesh = {.pp = 2},
                        .spec = {.kind = ScheduleKind::zb_h1, .stages = 2, .microbatches = 4},
                        .stages = {&record, &record}};
  EXPECT_DOUBLE_EQ(time_of(step).bubble_seconds, 1);  // (p - 1) max(tf + tb - tw, tf, tb), schedule.h
}

TEST(StepTime, PipelineMessagesTakeBothStagesTimeWhereNothingHidesThem) {
  StepRecord first = stage_record(2);
  StepRecord last = stage_record(2);
  send(first.between, "pp", "send", 2, 4);
  send(last.between, "pp", "send", 2, 4);
  const StepToTime step{.mesh = {.pp = 2}, .spec = {.stages = 2, .microbatches = 2}, .stages = {&first, &last}};
  // Of two seconds one is the sender's and one the receiver's: every forward takes 1 + 1, every backward 2 + 1.
  const StepTime cpu = time_of(step);
  EXPECT_DOUBLE_EQ(cpu.step_seconds, 2 * 5 + 5 + 5);
  EXPECT_DOUBLE_EQ(cpu.compute_seconds, 6);
  EXPECT_DOUBLE_EQ(cpu.bubble_seconds, 9);
  Calibration gpu = machine();
  gpu.hidden_message_part = 1;
  const Timeline played =
      simulate(step.spec, {.chunks = {{.forward = 1, .backward_input = 2, .backward_weight = 0}}, .message = 2});
  EXPECT_DOUBLE_EQ(time_of(step, gpu).step_seconds, played.makespan + 5);
}

TEST(StepTime, TheTiedTableIsSummedBehindTheSchedule) {
  StepRecord record = stage_record(2);
  send(record.reduction, "tied", "all_reduce", 1, 3);
  const StepToTime step{.mesh = {.pp = 2}, .spec = {.stages = 2, .microbatches = 2}, .stages = {&record, &record}};
  Calibration gpu = machine();
  gpu.hidden_message_part = 1;
  EXPECT_DOUBLE_EQ(time_of(step, gpu).dp_seconds, 3);
}

TEST(StepTime, AStageThatEndsEarlyReducesBehindTheOthers) {
  const StepRecord first = stage_record(2);
  StepRecord last = stage_record(2);
  send(last.reduction, "dp", "reduce_scatter", 1, 1);  // its last backward ends 2 s before the first stage's
  const StepToTime step{
      .mesh = {.dp = 2, .pp = 2}, .spec = {.stages = 2, .microbatches = 2}, .stages = {&first, &last}};
  EXPECT_DOUBLE_EQ(time_of(step).dp_seconds, 0);
  last.reduction.sent["dp"]["reduce_scatter"].bytes = 5;
  EXPECT_DOUBLE_EQ(time_of(step).dp_seconds, 3);
}

TEST(StepTime, RecordsOfAnotherShapeAreAnError) {
  const StepRecord record = stage_record(2);
  const TimeModel model(machine(), runtime::DType::fp32);
  EXPECT_THROW(time_step({.mesh = {.pp = 2}, .spec = {.stages = 2, .microbatches = 2}, .stages = {&record}}, model),
               runtime::Error);
  EXPECT_THROW(time_step({.spec = {.chunks = 2, .microbatches = 2}, .stages = {&record}}, model), runtime::Error);
}

TEST(StepTime, GroupsLieOnMachinesAsTheMeshNumbersRanks) {
  const Mesh mesh{.tp = 4, .dp = 8, .pp = 4};
  const auto nodes = [&](std::string_view axis) { return span_of(mesh, axis, 8).nodes; };
  EXPECT_EQ(nodes("tp"), 1);
  EXPECT_EQ(nodes("dp"), 4);  // two of a group on each machine
  EXPECT_EQ(nodes("pp"), 4);
  EXPECT_EQ(span_of(mesh, "tied", 8).ranks, 2);
  EXPECT_EQ(nodes("tied"), 2);
  EXPECT_EQ(span_of(mesh, "tp", 2).nodes, 2);
  EXPECT_EQ(span_of({.dp = 2, .pp = 2}, "pp", 4).nodes, 1);
  EXPECT_EQ(span_of({.dp = 2, .pp = 2}, "tied", 4).ranks, 2);
  EXPECT_EQ(span_of({}, "dp", 8).ranks, 1);
  EXPECT_THROW(span_of(mesh, "ep", 8), runtime::Error);
}

}  // namespace
}  // namespace trireme::parallel
