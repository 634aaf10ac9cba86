#include "runtime/message_times.h"

#include <array>
#include <string>

#include <gtest/gtest.h>

#include "runtime/local_ranks.h"

namespace trireme::runtime {
namespace {

constexpr std::array<int64_t, 3> kSizes{1 << 10, 1 << 16, 1 << 20};
constexpr std::array<const char*, 4> kOps{"all_reduce", "reduce_scatter", "all_gather", "send_recv"};

TEST(MessageTimes, OneRankHasNone) {
  EXPECT_TRUE(measure_messages(*solo_communicator(), kSizes).empty());
}

TEST(MessageTimes, EveryOpAndSizeOnce) {
  for (const int ranks : {2, 3}) {
    run_local_ranks(ranks, [&](Communicator& world) {
      const std::vector<MessageTime> times = measure_messages(world, kSizes);
      ASSERT_EQ(times.size(), kOps.size() * kSizes.size());
      for (size_t i = 0; i < times.size(); ++i) {
        const std::string op = kOps[i / kSizes.size()];
        EXPECT_EQ(times[i].op, op);
        EXPECT_EQ(times[i].ranks, op == "send_recv" ? 2 : ranks);
        EXPECT_EQ(times[i].bytes, kSizes[i % kSizes.size()] / (4 * ranks) * (4 * ranks));
        if (world.rank() != 0) continue;
        EXPECT_GT(times[i].seconds, 0);
        EXPECT_LT(times[i].seconds, 1);
      }
      // What is timed are the messages themselves: a byte in less than a thousandth of a nanosecond would be none.
      if (world.rank() == 0) {
        EXPECT_GT(times.back().seconds, static_cast<double>(times.back().bytes) * 1e-12);
      }
    });
  }
}

}  // namespace
}  // namespace trireme::runtime
