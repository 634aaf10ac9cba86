#include "runtime/stream.h"

#include <chrono>
#include <thread>
#include <tuple>

#include <gtest/gtest.h>

namespace trireme::runtime {
namespace {

TEST(Stream, AddsUpCostsByOp) {
  Stream stream(Device::dry);
  std::ignore = stream.dispatch({.op = "add", .flops = 2, .bytes = 30});
  std::ignore = stream.dispatch({.op = "fill", .flops = 0, .bytes = 5});
  std::ignore = stream.dispatch({.op = "add", .flops = 3, .bytes = int64_t{1} << 40});
  const auto& by_op = stream.costs().by_op();
  ASSERT_EQ(by_op.size(), 2u);
  EXPECT_EQ(by_op.at("add"), (CostRecord::Total{.calls = 2, .flops = 5, .bytes = (int64_t{1} << 40) + 30}));
  EXPECT_EQ(by_op.at("fill"), (CostRecord::Total{.calls = 1, .flops = 0, .bytes = 5}));
  EXPECT_EQ(stream.costs().sum(), (CostRecord::Total{.calls = 3, .flops = 5, .bytes = (int64_t{1} << 40) + 35}));
}

TEST(Stream, ClearForgetsCosts) {
  Stream stream(Device::cpu);
  std::ignore = stream.dispatch({.op = "add", .flops = 2, .bytes = 30});
  stream.clear_costs();
  EXPECT_TRUE(stream.costs().by_op().empty());
  EXPECT_EQ(stream.costs().sum(), CostRecord::Total{});
}

TEST(Stream, OpsOfARecomputeScopeStateAllTheirFlopsAsRecomputed) {
  Stream stream(Device::dry);
  std::ignore = stream.dispatch({.op = "add", .flops = 2});
  {
    const RecomputeScope outer(stream);
    { const RecomputeScope inner(stream); }
    std::ignore = stream.dispatch({.op = "add", .flops = 10, .recomputed_flops = 3});
  }
  std::ignore = stream.dispatch({.op = "add", .flops = 100, .recomputed_flops = 7});
  EXPECT_EQ(stream.costs().sum(), (CostRecord::Total{.calls = 3, .flops = 112, .recomputed_flops = 17}));
}

TEST(Stream, EveryDispatchPollsMessages) {
  Stream stream(Device::cpu);
  std::ignore = stream.dispatch({.op = "add"});  // without anyone to poll
  int polls = 0;
  stream.on_dispatch([&polls] { ++polls; });
  std::ignore = stream.dispatch({.op = "add"});
  std::ignore = stream.dispatch({.op = "fill"});
  EXPECT_EQ(polls, 2);
}

TEST(Stream, ProfileAddsUpTheTimeOfEachKindOfCall) {
  Stream stream(Device::cpu);
  std::ignore = stream.dispatch({.op = "linear", .flops = 7});  // before the profile
  OpProfile profile;
  stream.profile_into(&profile);
  for (int call = 0; call < 2; ++call) {
    const OpScope scope = stream.dispatch({.op = "linear", .flops = 10, .bytes = 3, .sizes = {2, 5, 1}});
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
  std::ignore = stream.dispatch({.op = "linear", .flops = 1, .sizes = {1, 1, 1}});
  stream.profile_into(nullptr);
  std::ignore = stream.dispatch({.op = "linear", .flops = 7});
  ASSERT_EQ(profile.rows().size(), 2u);
  const OpProfile::Row& row = profile.rows().front();
  EXPECT_EQ(row.op, "linear");
  EXPECT_EQ(row.sizes, (Shape{2, 5, 1}));
  EXPECT_EQ(row.calls, 2);
  EXPECT_EQ(row.flops, 20);
  EXPECT_EQ(row.bytes, 6);
  EXPECT_GE(row.seconds, 0.01);
  EXPECT_LT(profile.rows().back().seconds, 0.01);
}

TEST(Stream, DevicesHaveNames) {
  EXPECT_EQ(name(Device::cpu), "cpu");
  EXPECT_EQ(name(Stream(Device::dry).device()), "dry");
}

}  // namespace
}  // namespace trireme::runtime
