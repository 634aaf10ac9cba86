#include "runtime/time_model.h"

#include <gtest/gtest.h>

#include <cmath>

#include "runtime/collective_plan.h"

namespace trireme::runtime {
namespace {

/// 100 Gflop/s, 10 GB/s, a microsecond a call.
Calibration machine() {
  Calibration calibration;
  calibration.fma_flops_per_second = 100e9;
  calibration.memory = {.read = 8e9, .copy = 10e9, .triad = 9e9};
  calibration.call_seconds = 1e-6;
  return calibration;
}

OpProfile::Row row(const std::string& op, int64_t calls, int64_t flops, int64_t bytes, const Shape& sizes = {}) {
  return {.op = op, .sizes = sizes, .calls = calls, .flops = calls * flops, .bytes = calls * bytes};
}

CommTotal sent(CollectiveOp op, int size, int64_t elements, int64_t calls = 1) {
  const Traffic traffic =
      sent_traffic(CollectivePlan({.op = op, .rank = 1, .size = size, .elements = elements, .dtype_bytes = 4}));
  return {.calls = calls, .messages = calls * traffic.messages, .bytes = calls * traffic.bytes};
}

TEST(TimeModel, AMeasuredCallTakesWhatItTook) {
  Calibration calibration = machine();
  calibration.ops = {{.op = "linear_forward", .sizes = {8, 4, 2}, .flops = 128, .bytes = 256, .seconds = 3e-5},
                     {.op = "gelu_forward", .flops = 800, .bytes = 1600, .seconds = 2e-5},
                     {.op = "gelu_forward", .flops = 8000, .bytes = 16000, .seconds = 7e-5}};
  const TimeModel model(calibration, DType::fp32);
  EXPECT_DOUBLE_EQ(model.op_seconds(row("linear_forward", 3, 128, 256, {8, 4, 2})), 9e-5);
  EXPECT_DOUBLE_EQ(model.op_seconds(row("gelu_forward", 1, 800, 1600)), 2e-5);
  EXPECT_DOUBLE_EQ(model.op_seconds(row("gelu_forward", 2, 8000, 16000)), 14e-5);
  EXPECT_EQ(model.op_seconds(row("gelu_forward", 0, 0, 0)), 0);
  OpProfile ops;
  ops.add({.op = "gelu_forward", .flops = 800, .bytes = 1600}, 0);
  ops.add({.op = "linear_forward", .flops = 128, .bytes = 256, .sizes = {8, 4, 2}}, 0);
  EXPECT_DOUBLE_EQ(model.ops_seconds(ops), 5e-5);
}

TEST(TimeModel, AnotherSizeTakesTheNearestCallByTheRatioOfRooflines) {
  Calibration calibration = machine();
  // By flops: 1 ms at the peak, 2 ms measured; by bytes: 2 us at the peak of memory, 9 measured.
  calibration.ops = {
      {.op = "linear_forward", .sizes = {64, 64, 64}, .flops = 100'000'000, .bytes = 1'000, .seconds = 2e-3},
      {.op = "linear_forward", .sizes = {1, 64, 64}, .flops = 100, .bytes = 20'000, .seconds = 9e-6}};
  const TimeModel model(calibration, DType::fp32);
  const double fixed = 1e-6;
  EXPECT_DOUBLE_EQ(model.op_seconds(row("linear_forward", 1, 50'000'000, 1'000, {32, 64, 64})),
                   fixed + (2e-3 - fixed) / 2);
  EXPECT_DOUBLE_EQ(model.op_seconds(row("linear_forward", 1, 200, 60'000, {2, 64, 64})), fixed + (9e-6 - fixed) * 3);
}

TEST(TimeModel, CallsThatDoNextToNothingKeepTheirFixedPart) {
  Calibration calibration = machine();
  calibration.ops = {{.op = "fill", .bytes = 1'000'000, .seconds = 2e-4}};
  const TimeModel model(calibration, DType::fp32);
  EXPECT_NEAR(model.op_seconds(row("fill", 1, 0, 4)), 1e-6, 1e-9);  // and 4 bytes' share of the rest, 0.8 ns
}

// 32 bytes in 2 us are no rate by which 32 MB would take seconds.
TEST(TimeModel, ACallThatIsAllOverheadSaysNothingOfARate) {
  Calibration calibration = machine();
  calibration.ops = {{.op = "fill", .bytes = 32, .seconds = 2e-6}};
  calibration.unmeasured_part = 0.5;
  const TimeModel model(calibration, DType::fp32);
  EXPECT_DOUBLE_EQ(model.op_seconds(row("fill", 3, 0, 32)), 6e-6);
  EXPECT_NEAR(model.op_seconds(row("fill", 1, 0, 32'000'000)), 2e-6 + 2 * 3.2e-3, 1e-8);
}

TEST(TimeModel, WhatWasNotMeasuredReachesAStatedPartOfItsRoofline) {
  Calibration calibration = machine();
  calibration.unmeasured_part = 0.25;
  const TimeModel model(calibration, DType::fp32);
  EXPECT_DOUBLE_EQ(model.op_seconds(row("rope", 2, 0, 10'000)), 2 * (1e-6 + 4e-6));
  EXPECT_DOUBLE_EQ(model.op_seconds(row("rope", 1, 1'000'000, 10'000)), 1e-6 + 4e-5);
}

TEST(TimeModel, TheStorageOfTheStepIsAskedForFirst) {
  Calibration calibration = machine();
  calibration.bf16_flops_per_second = 400e9;
  calibration.ops = {{.op = "gelu_forward", .storage = DType::fp32, .bytes = 4000, .seconds = 4e-6},
                     {.op = "gelu_forward", .storage = DType::bf16, .bytes = 2000, .seconds = 3e-6},
                     {.op = "silu", .storage = DType::fp32, .flops = 1'000'000, .seconds = 21e-6}};
  const TimeModel model(calibration, DType::bf16);
  EXPECT_DOUBLE_EQ(model.op_seconds(row("gelu_forward", 1, 0, 2000)), 3e-6);
  // Measured at half of the fp32 peak, so here at half of the other's: 20 us become 5.
  EXPECT_DOUBLE_EQ(model.op_seconds(row("silu", 1, 1'000'000, 0)), 6e-6);
}

TEST(TimeModel, MeasuredMessagesAreReadFromTheirTable) {
  Calibration calibration = machine();
  calibration.messages = {{.ranks = 2, .op = "all_reduce", .bytes = 1'000'000, .seconds = 1e-3},
                          {.ranks = 2, .op = "all_reduce", .bytes = 1'000, .seconds = 1e-5},
                          {.ranks = 2, .op = "send_recv", .bytes = 4'000, .seconds = 3e-6}};
  const TimeModel model(calibration, DType::fp32);
  const GroupSpan two{.ranks = 2};
  EXPECT_NEAR(model.message_seconds("all_reduce", sent(CollectiveOp::all_reduce, 2, 250'000, 3), two), 3e-3, 1e-12);
  // 10,000 bytes are the third of three decades from 1,000 to 1,000,000: 1e-5 x 100^(1/3).
  EXPECT_NEAR(model.message_seconds("all_reduce", sent(CollectiveOp::all_reduce, 2, 2'500), two),
              1e-5 * std::pow(100, 1.0 / 3), 1e-12);
  EXPECT_NEAR(model.message_seconds("all_reduce", sent(CollectiveOp::all_reduce, 2, 500'000), two), 2e-3, 1e-12);
  EXPECT_NEAR(model.message_seconds("all_reduce", sent(CollectiveOp::all_reduce, 2, 4), two), 1e-5, 1e-12);
  // Half of an all_reduce sends half of its bytes: that of 500,000 bytes.
  EXPECT_NEAR(model.message_seconds("reduce_scatter", sent(CollectiveOp::reduce_scatter, 2, 125'000), two),
              1e-5 * std::pow(100, std::log10(500.0) / 3), 1e-12);
  EXPECT_NEAR(model.message_seconds("send", sent(CollectiveOp::send, 2, 1'000, 2), two), 6e-6, 1e-12);
  EXPECT_EQ(model.message_seconds("recv", {.calls = 2}, two), 0);
  EXPECT_EQ(model.message_seconds("all_reduce", {}, two), 0);
  EXPECT_EQ(model.message_seconds("all_reduce", {.calls = 1}, {.ranks = 1}), 0);
}

TEST(TimeModel, LinksTakeTheirStepsAndTheSlowestRate) {
  Calibration calibration = machine();
  calibration.within_node = {.latency_seconds = 1e-6, .bytes_per_second = 400e9};
  calibration.between_nodes = {.latency_seconds = 1e-5, .bytes_per_second = 50e9};
  const TimeModel model(calibration, DType::bf16);
  const int64_t n = 1 << 20;
  const CommTotal ring = sent(CollectiveOp::all_reduce, 8, n);
  ASSERT_EQ(ring.bytes, 2 * 7 * n / 8 * 4);
  EXPECT_NEAR(model.message_seconds("all_reduce", ring, {.ranks = 8}), 14e-6 + ring.bytes / 400e9, 1e-12);
  // Two machines: 2 of 14 steps go between them; four ranks on each, so four networks.
  EXPECT_NEAR(model.message_seconds("all_reduce", ring, {.ranks = 8, .nodes = 2}), 12e-6 + 2e-5 + ring.bytes / 200e9,
              1e-12);
  EXPECT_NEAR(model.message_seconds("all_reduce", ring, {.ranks = 8, .nodes = 8}), 14e-5 + ring.bytes / 50e9, 1e-12);
  // A few numbers go up and down a tree: 2 x 3 levels, of them 2 x 1 between two machines.
  const CommTotal tree = sent(CollectiveOp::all_reduce, 8, 4);
  EXPECT_NEAR(model.message_seconds("all_reduce", tree, {.ranks = 8, .nodes = 2}), 4e-6 + 2e-5 + tree.bytes / 200e9,
              1e-12);
  const CommTotal gather = sent(CollectiveOp::all_gather, 8, n);
  EXPECT_NEAR(model.message_seconds("all_gather", gather, {.ranks = 8}), 7e-6 + gather.bytes / 400e9, 1e-12);
  const CommTotal send = sent(CollectiveOp::send, 8, n);
  EXPECT_NEAR(model.message_seconds("send", send, {.ranks = 8}), 1e-6 + send.bytes / 400e9, 1e-12);
  EXPECT_NEAR(model.message_seconds("send", send, {.ranks = 8, .nodes = 4}), 1e-5 + send.bytes / 50e9, 1e-12);
}

TEST(TimeModel, GroupsOfAnotherSizeThanTheMeasuredOneUseItsLink) {
  Calibration calibration = machine();
  calibration.messages = {{.ranks = 2, .op = "all_reduce", .bytes = 1'000, .seconds = 1e-5},
                          {.ranks = 2, .op = "send_recv", .bytes = 1'000, .seconds = 2e-6},
                          {.ranks = 2, .op = "send_recv", .bytes = 1'000'000, .seconds = 5e-4}};
  const TimeModel model(calibration, DType::fp32);
  const CommTotal four = sent(CollectiveOp::all_reduce, 4, 1'000'000);
  EXPECT_NEAR(model.message_seconds("all_reduce", four, {.ranks = 4}), 6 * 2e-6 + four.bytes / 2e9, 1e-9);
  // Nothing is known of a network: as if it were one machine.
  EXPECT_DOUBLE_EQ(model.message_seconds("all_reduce", four, {.ranks = 4, .nodes = 2}),
                   model.message_seconds("all_reduce", four, {.ranks = 4}));
  // Nothing at all: through memory, in and out, each byte read and written.
  EXPECT_NEAR(TimeModel(machine(), DType::fp32).message_seconds("all_reduce", four, {.ranks = 4}),
              four.bytes / (10e9 / 4), 1e-9);
}

}  // namespace
}  // namespace trireme::runtime
