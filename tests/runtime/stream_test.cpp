#include "runtime/stream.h"

#include <gtest/gtest.h>

namespace trireme::runtime {
namespace {

TEST(Stream, AddsUpCostsByOp) {
  Stream stream(Device::dry);
  stream.dispatch({.op = "add", .flops = 2, .bytes = 30});
  stream.dispatch({.op = "fill", .flops = 0, .bytes = 5});
  stream.dispatch({.op = "add", .flops = 3, .bytes = int64_t{1} << 40});
  const auto& by_op = stream.costs().by_op();
  ASSERT_EQ(by_op.size(), 2u);
  EXPECT_EQ(by_op.at("add"), (CostRecord::Total{.calls = 2, .flops = 5, .bytes = (int64_t{1} << 40) + 30}));
  EXPECT_EQ(by_op.at("fill"), (CostRecord::Total{.calls = 1, .flops = 0, .bytes = 5}));
  EXPECT_EQ(stream.costs().sum(), (CostRecord::Total{.calls = 3, .flops = 5, .bytes = (int64_t{1} << 40) + 35}));
}

TEST(Stream, ClearForgetsCosts) {
  Stream stream(Device::cpu);
  stream.dispatch({.op = "add", .flops = 2, .bytes = 30});
  stream.clear_costs();
  EXPECT_TRUE(stream.costs().by_op().empty());
  EXPECT_EQ(stream.costs().sum(), CostRecord::Total{});
}

TEST(Stream, EveryDispatchPollsMessages) {
  Stream stream(Device::cpu);
  stream.dispatch({.op = "add"});  // without anyone to poll
  int polls = 0;
  stream.on_dispatch([&polls] { ++polls; });
  stream.dispatch({.op = "add"});
  stream.dispatch({.op = "fill"});
  EXPECT_EQ(polls, 2);
}

TEST(Stream, DevicesHaveNames) {
  EXPECT_EQ(name(Device::cpu), "cpu");
  EXPECT_EQ(name(Stream(Device::dry).device()), "dry");
}

}  // namespace
}  // namespace trireme::runtime
