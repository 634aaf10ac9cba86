#include "runtime/trace.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

#include "runtime/clock_offset.h"
#include "runtime/flight_recorder.h"
#include "runtime/local_ranks.h"
#include "runtime/stopwatch.h"
#include "runtime/stream.h"

namespace trireme::runtime {
namespace {

View all_of(std::vector<float>& values) {
  return view_of(std::span<float>(values), {static_cast<int64_t>(values.size())});
}

TEST(Trace, EventsBeyondItsRoomAreCountedAndNothingIsAllocated) {
  Trace trace({.ops = 2, .calls = 1, .spans = 1});
  const auto* ops = trace.ops().data();
  for (int i = 0; i < 5; ++i) trace.add_op({.op = "add"}, i, i + 1);
  EXPECT_EQ(trace.ops().size(), 2u);
  EXPECT_EQ(trace.ops().data(), ops);
  EXPECT_EQ(trace.left_out(), 3);
  EXPECT_EQ(trace.enter({.op = "barrier"}, 0, 0), 0);
  const int64_t second = trace.enter({.op = "barrier"}, 0, 0);
  EXPECT_EQ(second, Trace::kNone);
  trace.leave(second);
  trace.leave(77);  // of another trace
  const int64_t span = trace.begin_span("step", 1);
  trace.end_span(trace.begin_span("forward", 0, 0));
  trace.end_span(span);
  EXPECT_EQ(trace.left_out(), 5);
  ASSERT_EQ(trace.spans().size(), 1u);
  EXPECT_GE(trace.spans()[0].end, trace.spans()[0].begin);
}

TEST(Trace, AtRestOnlySpansBeginAndCallsEnd) {
  Trace trace({.ops = 4, .calls = 4, .spans = 4});
  const int64_t call = trace.enter({.op = "all_gather"}, 2, 10);
  trace.record(false);
  trace.add_op({.op = "add"}, 0, 1);
  trace.add_wait({.op = "all_gather"});
  EXPECT_EQ(trace.enter({.op = "barrier"}, 0, 0), Trace::kNone);
  trace.leave(call);
  { const TraceSpan span(&trace, "validation"); }
  { const TraceSpan nobodys(nullptr, "validation"); }
  EXPECT_TRUE(trace.ops().empty());
  EXPECT_TRUE(trace.waits().empty());
  ASSERT_EQ(trace.calls().size(), 1u);
  EXPECT_GE(trace.calls()[0].left, trace.calls()[0].entered);
  EXPECT_EQ(trace.spans().size(), 1u);
  EXPECT_EQ(trace.left_out(), 0);
}

TEST(Trace, RecordsTheOpsOfAStreamBesideItsProfile) {
  Stream stream(Device::cpu);
  OpProfile profile;
  Trace trace({.ops = 4});
  stream.trace_into(&trace);
  EXPECT_TRUE(stream.is_timed());
  { const OpScope scope = stream.dispatch({.op = "add", .flops = 7, .bytes = 9, .sizes = {2, 3}}); }
  stream.profile_into(&profile);
  { const OpScope scope = stream.dispatch({.op = "fill"}); }
  stream.trace_into(nullptr);
  EXPECT_TRUE(stream.is_timed());
  { const OpScope scope = stream.dispatch({.op = "fill"}); }
  stream.profile_into(nullptr);
  EXPECT_FALSE(stream.is_timed());
  ASSERT_EQ(trace.ops().size(), 2u);
  EXPECT_EQ(trace.ops()[0].cost.op, "add");
  EXPECT_EQ(trace.ops()[0].cost.flops, 7);
  EXPECT_EQ(trace.ops()[0].cost.sizes, (Shape{2, 3}));
  EXPECT_LE(trace.ops()[0].begin, trace.ops()[0].end);
  EXPECT_LE(trace.ops()[0].end, trace.ops()[1].begin);
  ASSERT_EQ(profile.rows().size(), 1u);
  EXPECT_EQ(profile.rows()[0].calls, 2);
}

TEST(Trace, RecordsCallsAndWaitsOfARank) {
  run_local_ranks(2, [](Communicator& world) {
    std::vector<float> buffer(1000);
    Trace trace({.calls = 8});
    Pending earlier = world.all_reduce(all_of(buffer), ReduceOp::sum);
    world.recorder()->trace_into(&trace);
    earlier.wait();  // begun before: no call of the trace
    std::vector<float> message(10);
    if (world.rank() == 0) world.send(all_of(message), 1).wait();
    if (world.rank() == 1) world.recv(all_of(message), 0).wait();
    world.all_reduce(all_of(buffer), ReduceOp::sum).wait();
    world.recorder()->trace_into(nullptr);
    world.barrier().wait();

    ASSERT_EQ(trace.calls().size(), 2u);
    const TracedCall& first = trace.calls()[0];
    EXPECT_EQ(first.op, world.rank() == 0 ? "send" : "recv");
    EXPECT_EQ(first.peer, 1 - world.rank());
    EXPECT_EQ(first.elements, 10);
    EXPECT_EQ(first.sent_bytes, world.rank() == 0 ? 40 : 0);
    const TracedCall& second = trace.calls()[1];
    EXPECT_EQ(second.op, "all_reduce");
    EXPECT_EQ(second.position, 1);
    EXPECT_EQ(second.peer, -1);
    EXPECT_EQ(second.dtype, DType::fp32);
    EXPECT_EQ(second.sent_bytes, 2 * (2 - 1) * 4000 / 2);  // 2(P-1)/P of the buffer
    for (const TracedCall& call : trace.calls()) EXPECT_GE(call.left, call.entered);
    EXPECT_LE(trace.waits().size(), 3u);  // a call that is done at once is not waited for
    for (const TracedWait& wait : trace.waits()) EXPECT_GE(wait.end, wait.begin);
  });
}

TEST(ClockOffset, OfOneMachineIsLessThanHalfTheRoundTrip) {
  run_local_ranks(3, [](Communicator& world) {
    const ClockReading reading = read_clock(world);
    EXPECT_LE(std::abs(reading.offset), reading.round_trip / 2 + 1e-9);  // 1 ns: rounding of seconds since the boot
    EXPECT_EQ(reading.round_trip > 0, world.rank() > 0);
    EXPECT_LE(reading.at, monotonic_seconds());
  });
}

TEST(ClockOffset, RanksFiveSecondsApartWhoseClocksDriftAgreeOnOneMoment) {
  const double began = monotonic_seconds();
  run_local_ranks(3, [&](Communicator& world) {
    // Each rank is behind the one before it, and gains a hundredth: far more than clocks do, in a far shorter time.
    const auto local = [&](double seconds) {
      return (1 + 0.01 * world.rank()) * (seconds - began) - 5.0 * world.rank();
    };
    const auto clock = [&] { return local(monotonic_seconds()); };
    const ClockReading before = read_clock(world, clock);
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
    const ClockReading after = read_clock(world, clock);
    const double round_trip = std::max(before.round_trip, after.round_trip);
    EXPECT_LT(round_trip, 1);
    // Between the readings the map is wrong by a mean of their errors; 1 ns: rounding of seconds since the boot.
    const double middle = before.at + (after.at - before.at) / 2;
    const double moment = (middle + 5.0 * world.rank()) / (1 + 0.01 * world.rank());  // after `began`
    EXPECT_NEAR(ClockMap(before, after)(middle), moment, round_trip / 2 + 1e-9) << "rank " << world.rank();
  });
}

TEST(ClockOffset, ChangesEvenlyBetweenTwoReadings) {
  const ClockMap clock({.at = 100, .offset = 5}, {.at = 200, .offset = 5.5});
  EXPECT_DOUBLE_EQ(clock(100), 105);
  EXPECT_DOUBLE_EQ(clock(150), 155.25);
  EXPECT_DOUBLE_EQ(clock(200), 205.5);
  EXPECT_DOUBLE_EQ(clock(300), 306);
  EXPECT_DOUBLE_EQ(ClockMap()(42), 42);
}

TEST(SendBytes, AnyNumberArrives) {
  run_local_ranks(2, [](Communicator& world) {
    for (const std::string& text : {std::string(), std::string("x"), std::string(3 << 20, 'y')}) {
      if (world.rank() == 0) send_bytes(world, text, 1);
      if (world.rank() == 1) {
        EXPECT_EQ(recv_bytes(world, 0), text);
      }
    }
  });
}

}  // namespace
}  // namespace trireme::runtime
