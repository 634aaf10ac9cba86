// What every kind of communicator must do; compiled into a test of threads and a test of MPI.
#include <array>
#include <cmath>
#include <limits>
#include <memory>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/bf16.h"
#include "runtime/communicator.h"
#include "runtime/dry_communicator.h"
#include "runtime/error.h"
#include "tests/runtime/communicator_worlds.h"

namespace trireme::runtime {
namespace {

// Less than a rank, not a multiple of anything, and many chunks.
const std::vector<int64_t> kSizes = {0, 1, 7, 1000, 50001};

template <typename T>
View all_of(std::vector<T>& values) {
  return view_of(std::span<T>(values), {static_cast<int64_t>(values.size())});
}

/// Small integers: every sum is exact in fp32, whatever its order.
template <typename T>
T value(int rank, int64_t index) {
  return static_cast<T>((rank + 1) * (index % 61) - 100 * rank);
}

template <typename T>
std::vector<T> values_of(int rank, int64_t count) {
  std::vector<T> values(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) values[static_cast<size_t>(i)] = value<T>(rank, i);
  return values;
}

template <typename T>
std::vector<T> sums_of(int ranks, int64_t count) {
  std::vector<T> sums(static_cast<size_t>(count), T{0});
  for (int rank = 0; rank < ranks; ++rank) {
    for (int64_t i = 0; i < count; ++i) sums[static_cast<size_t>(i)] += value<T>(rank, i);
  }
  return sums;
}

template <typename T>
void check_all_reduce(Communicator& world) {
  for (int64_t count : kSizes) {
    std::vector<T> buffer = values_of<T>(world.rank(), count);
    world.all_reduce(all_of(buffer), ReduceOp::sum).wait();
    EXPECT_EQ(buffer, sums_of<T>(world.size(), count));
    buffer = values_of<T>(world.rank(), count);
    world.all_reduce(all_of(buffer), ReduceOp::max).wait();
    for (int64_t i = 0; i < count; ++i) {
      T largest = value<T>(0, i);
      for (int rank = 1; rank < world.size(); ++rank) largest = std::max(largest, value<T>(rank, i));
      ASSERT_EQ(buffer[static_cast<size_t>(i)], largest);
    }
  }
}

TEST(Communicator, AllReduceMatchesSerialSum) {
  on_each_world([](Communicator& world) {
    check_all_reduce<float>(world);
    check_all_reduce<double>(world);
    check_all_reduce<int64_t>(world);
  });
}

TEST(Communicator, MaxPassesNotANumberOn) {
  on_each_world([](Communicator& world) {
    std::vector<double> flag = {world.rank() == 0 ? std::nan("") : 1.0, 2.0};
    world.all_reduce(all_of(flag), ReduceOp::max).wait();
    EXPECT_TRUE(std::isnan(flag[0]));
    EXPECT_EQ(flag[1], 2.0);
  });
}

/// Through all_reduce, and for parts that a ring gives the same bits by reduce_scatter.
void expect_bf16_sums(Communicator& world, const std::vector<float>& own, const std::vector<float>& expected) {
  const std::vector<bf16> input(own.begin(), own.end());
  std::vector<bf16> buffer = input;
  world.all_reduce(all_of(buffer), ReduceOp::sum).wait();
  for (size_t i = 0; i < buffer.size(); ++i) {
    if (std::isnan(expected[i])) {
      ASSERT_TRUE(std::isnan(static_cast<float>(buffer[i]))) << i;
    } else {
      ASSERT_EQ(static_cast<float>(buffer[i]), expected[i]) << i;
    }
  }
  const auto n = static_cast<int64_t>(buffer.size()) / world.size();
  if (n < 64 || n * world.size() != static_cast<int64_t>(buffer.size())) return;
  std::vector<bf16> whole = input;
  std::vector<bf16> part(static_cast<size_t>(n), 7.0F);
  world.reduce_scatter(all_of(whole), all_of(part), ReduceOp::sum).wait();
  for (int64_t i = 0; i < n; ++i) {
    ASSERT_EQ(part[static_cast<size_t>(i)].bits, buffer[static_cast<size_t>(world.rank() * n + i)].bits) << i;
  }
}

// Rank 0 and the last one give a number each, the others zeros: one addition is rounded, whatever the order.
TEST(Communicator, Bf16IsAddedInFp32AndRoundedToEven) {
  const float largest = 0x1.fep127F;
  const std::vector<std::array<float, 3>> sums = {{1, 0x1p-8F, 1},                     // a tie: down to even
                                                  {1, 0x3p-8F, 1 + 0x1p-6F},           // a tie: up to even
                                                  {1, 0x1.02p-8F, 1 + 0x1p-7F},        // above a tie
                                                  {-1, 1, 0},                          // exact
                                                  {largest, largest, INFINITY},        // beyond the largest
                                                  {NAN, 1, NAN},                       // NaN of either side
                                                  {1, -NAN, NAN},                      //
                                                  {INFINITY, -INFINITY, NAN},          //
                                                  {0x1p-133F, 0x1p-133F, 0x1p-132F}};  // denormals stay
  on_each_world([&](Communicator& world) {
    if (world.size() == 1) return;
    for (const int64_t count : {int64_t{9}, int64_t{64} * world.size(), int64_t{5003}}) {
      std::vector<float> own;
      std::vector<float> expected;
      for (int64_t i = 0; i < count; ++i) {
        const std::array<float, 3>& sum = sums[static_cast<size_t>(i) % sums.size()];
        own.push_back(world.rank() == 0 ? sum[0] : (world.rank() == world.size() - 1 ? sum[1] : 0));
        expected.push_back(sum[2]);
      }
      expect_bf16_sums(world, own, expected);
    }
  });
}

// Every addition rounds by 2^-9 of a sum that is at most the whole here: (P - 1) of them.
TEST(Communicator, Bf16SumsFollowFp32AndAreTheSameOnAllRanks) {
  on_each_world([](Communicator& world) {
    const int P = world.size();
    const auto given = [](int rank, int64_t i) { return 1.0F / static_cast<float>(3 + i % 511 + 7 * rank); };
    for (const int64_t count : {int64_t{1}, int64_t{40}, int64_t{64} * P, int64_t{10007}}) {
      std::vector<bf16> buffer;
      for (int64_t i = 0; i < count; ++i) buffer.emplace_back(given(world.rank(), i));
      world.all_reduce(all_of(buffer), ReduceOp::sum).wait();
      std::vector<bf16> of_root = buffer;
      world.broadcast(all_of(of_root), P - 1).wait();
      for (int64_t i = 0; i < count; ++i) {
        float sum = 0;
        for (int rank = 0; rank < P; ++rank) sum += bf16(given(rank, i));
        const bf16 actual = buffer[static_cast<size_t>(i)];
        ASSERT_NEAR(actual, sum, sum * static_cast<float>(P - 1) * 0x1.01p-8F) << i;
        ASSERT_EQ(actual.bits, of_root[static_cast<size_t>(i)].bits) << i;
      }
    }
    std::vector<bf16> largest = {static_cast<float>(world.rank()), -static_cast<float>(world.rank())};
    world.all_reduce(all_of(largest), ReduceOp::max).wait();
    EXPECT_EQ(static_cast<float>(largest[0]), static_cast<float>(P - 1));
    EXPECT_EQ(static_cast<float>(largest[1]), 0);
  });
}

TEST(Communicator, AllRanksHoldTheSameBits) {
  on_each_world([](Communicator& world) {
    std::vector<float> buffer(10007);
    for (size_t i = 0; i < buffer.size(); ++i) buffer[i] = 1.0F / static_cast<float>(3 + i + 7 * world.rank());
    std::vector<float> by_parts = buffer;
    world.all_reduce(all_of(buffer), ReduceOp::sum).wait();
    std::vector<float> of_root = buffer;
    world.broadcast(all_of(of_root), world.size() - 1).wait();
    EXPECT_EQ(buffer, of_root);

    world.all_reduce(all_of(by_parts), ReduceOp::sum).wait();
    EXPECT_EQ(buffer, by_parts);
  });
}

TEST(Communicator, ReduceScatterGivesThePartsOfAllReduce) {
  on_each_world([](Communicator& world) {
    for (int64_t count : kSizes) {
      std::vector<float> input = values_of<float>(world.rank(), world.size() * count);
      const std::vector<float> untouched = input;
      std::vector<float> output(static_cast<size_t>(count), -1.0F);
      world.reduce_scatter(all_of(input), all_of(output), ReduceOp::sum).wait();
      EXPECT_EQ(input, untouched);
      const std::vector<float> sums = sums_of<float>(world.size(), world.size() * count);
      const auto begin = sums.begin() + world.rank() * count;
      EXPECT_EQ(output, std::vector<float>(begin, begin + count));

      const View own_part = all_of(input).range(world.rank() * count, {count});
      world.reduce_scatter(all_of(input), own_part, ReduceOp::sum).wait();
      EXPECT_EQ(output, std::vector<float>(own_part.as<float>(), own_part.as<float>() + count));
    }
  });
}

TEST(Communicator, AllGatherJoinsInRankOrder) {
  on_each_world([](Communicator& world) {
    for (int64_t count : kSizes) {
      std::vector<uint8_t> input = values_of<uint8_t>(world.rank(), count);
      std::vector<uint8_t> output(static_cast<size_t>(world.size() * count), 77);
      world.all_gather(all_of(input), all_of(output)).wait();
      std::vector<uint8_t> expected;
      for (int rank = 0; rank < world.size(); ++rank) {
        const std::vector<uint8_t> part = values_of<uint8_t>(rank, count);
        expected.insert(expected.end(), part.begin(), part.end());
      }
      EXPECT_EQ(output, expected);

      std::vector<uint8_t> in_place(output.size(), 78);
      const View own_part = all_of(in_place).range(world.rank() * count, {count});
      std::copy(input.begin(), input.end(), own_part.as<uint8_t>());
      world.all_gather(own_part, all_of(in_place)).wait();
      EXPECT_EQ(in_place, expected);
    }
  });
}

TEST(Communicator, AllToAllTransposes) {
  on_each_world([](Communicator& world) {
    for (int64_t count : kSizes) {
      std::vector<int32_t> input = values_of<int32_t>(world.rank(), world.size() * count);
      std::vector<int32_t> output(input.size(), -1);
      world.all_to_all(all_of(input), all_of(output)).wait();
      for (int64_t i = 0; i < world.size() * count; ++i) {
        const int from = static_cast<int>(i / count);
        ASSERT_EQ(output[static_cast<size_t>(i)], value<int32_t>(from, world.rank() * count + i % count));
      }
    }
  });
}

TEST(Communicator, BroadcastFromEveryRoot) {
  on_each_world([](Communicator& world) {
    for (int root = 0; root < world.size(); ++root) {
      for (int64_t count : kSizes) {
        std::vector<float> buffer(static_cast<size_t>(count), -1.0F);
        if (world.rank() == root) buffer = values_of<float>(root, count);
        world.broadcast(all_of(buffer), root).wait();
        EXPECT_EQ(buffer, values_of<float>(root, count));
      }
    }
  });
}

TEST(Communicator, ExchangeInAnyOrderOfPosting) {
  on_each_world([](Communicator& world) {
    const int next = (world.rank() + 1) % world.size();
    const int previous = (world.rank() + world.size() - 1) % world.size();
    for (int64_t count : kSizes) {
      std::vector<float> sent = values_of<float>(world.rank(), count);
      std::vector<float> received(static_cast<size_t>(count), -1.0F);
      // All ranks wait for a message before any has sent one: a send must not queue behind a recv.
      Pending recv = world.recv(all_of(received), previous);
      Pending send = world.send(all_of(sent), next);
      recv.wait();
      send.wait();
      EXPECT_EQ(received, values_of<float>(previous, count));
    }
  });
}

TEST(Communicator, OperationsInFlightDoNotMix) {
  on_each_world([](Communicator& world) {
    const int next = (world.rank() + 1) % world.size();
    const int previous = (world.rank() + world.size() - 1) % world.size();
    std::vector<std::vector<float>> buffers;
    std::vector<Pending> pending;
    constexpr int kOperations = 12;
    buffers.reserve(2 * kOperations);
    for (int i = 0; i < kOperations; ++i) {
      const int64_t count = 1 + 997 * i;
      buffers.push_back(values_of<float>(world.rank() + i, count));
      pending.push_back(world.all_reduce(all_of(buffers.back()), ReduceOp::sum));
      if (i % 3 != 0) continue;
      pending.push_back(world.barrier());
      buffers.push_back(values_of<float>(world.rank() + i, count));
      const View half = all_of(buffers.back());
      pending.push_back(world.send(half.range(0, {count / 2}), next));
      pending.push_back(world.recv(half.range(count / 2, {count / 2}), previous));
    }
    while (!pending.empty()) {  // the last one first
      pending.back().wait();
      pending.pop_back();
    }
    size_t at = 0;
    for (int i = 0; i < kOperations; ++i) {
      const int64_t count = 1 + 997 * i;
      std::vector<float> sums(static_cast<size_t>(count), 0.0F);
      for (int rank = 0; rank < world.size(); ++rank) {
        const std::vector<float> part = values_of<float>(rank + i, count);
        for (size_t k = 0; k < sums.size(); ++k) sums[k] += part[k];
      }
      EXPECT_EQ(buffers[at++], sums);
      if (i % 3 != 0) continue;
      const std::vector<float>& both = buffers[at++];
      for (int64_t k = 0; k < count / 2; ++k) {
        ASSERT_EQ(both[static_cast<size_t>(count / 2 + k)], value<float>(previous + i, k));
      }
    }
  });
}

TEST(Communicator, ProgressAloneFinishes) {
  on_each_world([](Communicator& world) {
    std::vector<float> buffer = values_of<float>(world.rank(), 50001);
    Pending pending = world.all_reduce(all_of(buffer), ReduceOp::sum);
    while (!pending.done()) {
      world.progress();
      std::this_thread::yield();  // there may be fewer cores than ranks
    }
    EXPECT_EQ(buffer, sums_of<float>(world.size(), 50001));
    pending.wait();
    pending.wait();  // waiting twice is harmless
  });
}

TEST(Communicator, SplitGroupsDoNotMix) {
  on_each_world([](Communicator& world) {
    // Even and odd ranks, in reverse order; each of the groups works while the world does.
    const std::unique_ptr<Communicator> half = world.split(world.rank() % 2, -world.rank(), "half");
    const int members = (world.size() - world.rank() % 2 + 1) / 2;
    ASSERT_EQ(half->size(), members);
    EXPECT_EQ(half->rank(), members - 1 - world.rank() / 2);

    std::vector<float> in_half = values_of<float>(world.rank(), 5000);
    std::vector<float> in_world = values_of<float>(world.rank(), 5000);
    const bool world_first = world.rank() % 2 == 0;  // groups need no common order
    Pending first = world_first ? world.all_reduce(all_of(in_world), ReduceOp::sum)
                                : half->all_reduce(all_of(in_half), ReduceOp::sum);
    Pending second = world_first ? half->all_reduce(all_of(in_half), ReduceOp::sum)
                                 : world.all_reduce(all_of(in_world), ReduceOp::sum);
    first.wait();
    second.wait();
    EXPECT_EQ(in_world, sums_of<float>(world.size(), 5000));
    std::vector<float> expected(5000, 0.0F);
    for (int rank = world.rank() % 2; rank < world.size(); rank += 2) {
      const std::vector<float> part = values_of<float>(rank, 5000);
      for (size_t i = 0; i < expected.size(); ++i) expected[i] += part[i];
    }
    EXPECT_EQ(in_half, expected);

    const std::unique_ptr<Communicator> alone = half->split(half->rank(), 0, "alone");
    EXPECT_EQ(alone->size(), 1);
    alone->all_reduce(all_of(in_half), ReduceOp::sum).wait();
    EXPECT_EQ(in_half, expected);
    world.barrier().wait();
  });
}

TEST(Communicator, BytesOfAnyLengthAreGathered) {
  on_each_world([](Communicator& world) {
    const std::string own(static_cast<size_t>(world.rank() * 1000), static_cast<char>('a' + world.rank()));
    const std::vector<std::string> all = all_gather_bytes(world, own);
    ASSERT_EQ(all.size(), static_cast<size_t>(world.size()));
    for (int rank = 0; rank < world.size(); ++rank) {
      EXPECT_EQ(all[static_cast<size_t>(rank)],
                std::string(static_cast<size_t>(rank * 1000), static_cast<char>('a' + rank)));
    }
  });
}

/// One of each op, views real or null.
void call_everything(Communicator& world, void* large, void* small) {
  const int64_t n = 5003;
  const int P = world.size();
  const View whole{{large, DType::fp32, Shape{P * n}}};
  const View other{{static_cast<char*>(large) + (large == nullptr ? 0 : whole.bytes()), DType::fp32, Shape{P * n}}};
  const View part{{small, DType::fp32, Shape{n}}};
  world.all_reduce(part, ReduceOp::sum).wait();
  world.all_reduce(whole.range(0, {1}), ReduceOp::max).wait();
  world.reduce_scatter(whole, part, ReduceOp::sum).wait();
  world.all_gather(part, whole).wait();
  world.all_to_all(whole, other).wait();
  world.broadcast(whole, P - 1).wait();
  world.broadcast(whole.range(0, {10}), 0).wait();
  world.barrier().wait();
  Pending recv = world.recv(part, (world.rank() + 1) % P);
  world.send(whole.range(0, {n}), (world.rank() + P - 1) % P).wait();
  recv.wait();
}

TEST(Communicator, DryCountsWhatIsSent) {
  on_each_world([](Communicator& world) {
    const auto color = [](int rank) { return rank / 2; };
    const std::unique_ptr<Communicator> fresh = world.split(0, 0, "fresh");  // without the calls of earlier tests
    const SplitRule rule = [&](int rank, const std::string&) { return SplitChoice{color(rank), -rank}; };
    const std::unique_ptr<Communicator> dry =
        dry_communicator({.rank = world.rank(), .size = world.size()}, rule, {.chunk_bytes = kTestChunkBytes});
    std::vector<float> large(static_cast<size_t>(2 * world.size() * 5003));
    std::vector<float> small(5003);
    call_everything(*fresh, large.data(), small.data());
    call_everything(*dry, nullptr, nullptr);

    const auto real_pair = fresh->split(color(world.rank()), -world.rank(), "pair");
    const auto dry_pair = dry->split(color(world.rank()), -world.rank(), "pair");
    EXPECT_EQ(dry_pair->rank(), real_pair->rank());
    EXPECT_EQ(dry_pair->size(), real_pair->size());
    call_everything(*real_pair, large.data(), small.data());
    call_everything(*dry_pair, nullptr, nullptr);

    EXPECT_EQ(dry->totals(), fresh->totals());
    EXPECT_EQ(dry_pair->totals(), real_pair->totals());
    EXPECT_EQ(dry->totals().size(), 9u);  // eight ops and split
    EXPECT_EQ(dry->totals().at("all_reduce").bytes > 0, world.size() > 1);
  });
}

/// Everything but sums, on views of `n` elements.
void exchange_messages(Communicator& group, void* data, int64_t n) {
  const int P = group.size();
  const View parts{{data, DType::bf16, Shape{P, n}}};
  const View own = parts.rows(group.rank(), 1);
  group.all_gather(own, parts).wait();
  group.broadcast(own, 0).wait();
  group.barrier().wait();
  Pending recv = group.recv(parts.rows((group.rank() + 1) % P, 1), (group.rank() + 1) % P);
  group.send(own, (group.rank() + P - 1) % P).wait();
  recv.wait();
}

TEST(Communicator, GroupsForMessagesTakeNoMemory) {
  on_each_world([](Communicator& world) {
    const std::unique_ptr<Communicator> group = world.split(0, world.rank(), "pp", GroupUse::messages);
    const std::unique_ptr<Communicator> dry =
        dry_communicator({.rank = world.rank(), .size = world.size(), .name = "pp", .use = GroupUse::messages}, nullptr,
                         {.chunk_bytes = kTestChunkBytes});
    std::vector<bf16> values(static_cast<size_t>(5003 * world.size()), 1.0F);
    exchange_messages(*group, values.data(), 5003);
    exchange_messages(*dry, nullptr, 5003);
    EXPECT_EQ(dry->totals(), group->totals());
    std::vector<float> sum(1);
    for (Communicator* either : {group.get(), dry.get()}) {
      EXPECT_EQ(either->staging_bytes(), 0);
      EXPECT_THROW(either->all_reduce(all_of(sum), ReduceOp::sum), Error);
      EXPECT_THROW(either->reduce_scatter(all_of(values), all_of(values).range(0, {5003}), ReduceOp::max), Error);
    }
    group->barrier().wait();  // a refused call has sent nothing
    // A group for sums may come from one for messages.
    const std::unique_ptr<Communicator> sums = group->split(0, world.rank(), "sums");
    EXPECT_EQ(sums->staging_bytes(), world.staging_bytes());
    std::vector<float> ones = {1};
    sums->all_reduce(all_of(ones), ReduceOp::sum).wait();
    EXPECT_EQ(ones[0], static_cast<float>(world.size()));
  });
}

TEST(Communicator, EmptyViewsAreFineAndSendNothing) {
  on_each_world([](Communicator& world) {
    const int P = world.size();
    const std::unique_ptr<Communicator> group = world.split(0, world.rank(), "empty");
    const std::unique_ptr<Communicator> dry = dry_communicator({.rank = world.rank(), .size = P, .name = "empty"});
    for (const Shape& shape : {Shape{0}, Shape{0, 768}, Shape{4, 0}}) {
      const View empty{{nullptr, DType::bf16, shape}};
      for (Communicator* either : {group.get(), dry.get()}) {
        Pending recv = either->recv(empty, (world.rank() + 1) % P);
        either->send(empty, (world.rank() + P - 1) % P).wait();
        recv.wait();
        either->all_reduce(empty, ReduceOp::sum).wait();
        either->reduce_scatter(empty, empty, ReduceOp::sum).wait();
        either->all_gather(empty, empty).wait();
        either->all_to_all(empty, empty).wait();
        either->broadcast(empty, P - 1).wait();
      }
    }
    for (const auto& [op, total] : group->totals()) {
      EXPECT_EQ(total, (CommTotal{.calls = 3, .messages = 0, .bytes = 0})) << op;
    }
    EXPECT_EQ(dry->totals(), group->totals());
  });
}

TEST(Communicator, RecentCallsAreInOrderAndTimed) {
  on_each_world([](Communicator& world) {
    const std::unique_ptr<Communicator> group = world.split(0, world.rank(), "dp");
    std::vector<int64_t> buffer(3);
    for (int i = 0; i < 300; ++i) group->all_reduce(all_of(buffer), ReduceOp::sum).wait();
    group->barrier().wait();
    const std::vector<CommCall> calls = group->recent_calls();
    ASSERT_EQ(calls.size(), 256u);
    EXPECT_EQ(calls.back().op, "barrier");
    EXPECT_EQ(calls.back().sequence, 300);
    for (size_t i = 0; i < calls.size(); ++i) {
      EXPECT_EQ(calls[i].sequence, calls[0].sequence + static_cast<int64_t>(i));
      EXPECT_EQ(calls[i].group, "dp");
      EXPECT_GE(calls[i].left_seconds, calls[i].entered_seconds);
    }
    EXPECT_EQ(calls[0].op, "all_reduce");
    EXPECT_EQ(calls[0].elements, 3);
    EXPECT_EQ(calls[0].dtype, DType::i64);
    EXPECT_EQ(group->totals().at("all_reduce").calls, 300);
  });
}

}  // namespace
}  // namespace trireme::runtime
