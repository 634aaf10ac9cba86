// Worlds of threads: the common cases on 1 to 5 ranks, and what only threads can show safely: failures.
#include "runtime/local_ranks.h"

#include <atomic>
#include <stdexcept>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/dry_communicator.h"
#include "runtime/error.h"
#include "runtime/host_communicator.h"
#include "tests/runtime/communicator_worlds.h"

namespace trireme::runtime {

void on_each_world(const std::function<void(Communicator&)>& body) {
  for (int size = 1; size <= 5; ++size) {
    SCOPED_TRACE(size);
    run_local_ranks(size, body, {.chunk_bytes = kTestChunkBytes, .window = 1 + size % 4});
  }
}

namespace {

View all_of(std::vector<float>& values) {
  return view_of(std::span<float>(values), {static_cast<int64_t>(values.size())});
}

/// The message of the Error that a world ends with.
std::string peer_error(int size, const std::function<void(Communicator&)>& body, ErrorKind kind = ErrorKind::peer) {
  try {
    run_local_ranks(size, body);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind);
    return error.what();
  }
  ADD_FAILURE() << "no failure was reported";
  return "";
}

TEST(LocalRanks, RethrowsTheFirstRealException) {
  std::atomic<int> consequences = 0;
  const auto body = [&](Communicator& world) {
    if (world.rank() == 1) throw std::runtime_error("disk full");
    try {
      std::vector<float> buffer(100000);
      while (true) world.all_reduce(all_of(buffer), ReduceOp::sum).wait();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::peer);
      EXPECT_STREQ(error.what(), "rank 1 failed: disk full");
      ++consequences;
      throw;
    }
  };
  EXPECT_THROW(
      {
        try {
          run_local_ranks(4, body);
        } catch (const std::runtime_error& error) {
          EXPECT_STREQ(error.what(), "disk full");
          throw;
        }
      },
      std::runtime_error);
  EXPECT_EQ(consequences, 3);
}

TEST(LocalRanks, AFailingRankDoesNotWaitForItsPendingOperations) {
  const auto body = [](Communicator& world) {
    std::vector<float> sent(100000);
    std::vector<float> received(100000);
    if (world.rank() == 0) {
      world.barrier().wait();
      world.recv(all_of(received), 1).wait();  // never sent
      return;
    }
    const Pending recv = world.recv(all_of(received), 0);  // never sent either
    const Pending send = world.send(all_of(sent), 0);
    world.barrier().wait();
    throw std::runtime_error("rank 1 gives up");
  };
  EXPECT_THROW(run_local_ranks(2, body), std::runtime_error);
}

TEST(LocalRanks, LeavingEarlyFailsThoseWhoWait) {
  EXPECT_EQ(peer_error(3,
                       [](Communicator& world) {
                         if (world.rank() == 2) return;
                         std::vector<float> buffer(10);
                         if (world.rank() == 0) world.recv(all_of(buffer), 2).wait();
                       }),
            "rank 2 left before it sent what rank 0 waits for");
  EXPECT_EQ(peer_error(2,
                       [](Communicator& world) {
                         std::vector<float> buffer(10);
                         if (world.rank() == 0) world.send(all_of(buffer), 1).wait();
                       }),
            "rank 1 left before it received what rank 0 sends it");
}

/// Of two ranks.
std::string mismatch(const std::function<void(Communicator&)>& body) {
  return peer_error(2, body, ErrorKind::mismatch);
}

TEST(LocalRanks, MismatchedCallsNameBothSides) {
  const std::string sizes = mismatch([](Communicator& world) {
    std::vector<float> buffer(world.rank() == 0 ? 100000 : 50);
    world.all_reduce(all_of(buffer), ReduceOp::sum).wait();
  });
  EXPECT_NE(sizes.find("all_reduce #0 of 100000 fp32 (sum)"), std::string::npos) << sizes;
  EXPECT_NE(sizes.find("all_reduce #0 of 50 fp32 (sum)"), std::string::npos) << sizes;

  const std::string ops = mismatch([](Communicator& world) {
    std::vector<float> buffer(64);
    world.barrier().wait();
    if (world.rank() == 0) {
      world.all_reduce(all_of(buffer), ReduceOp::max).wait();
    } else {
      world.broadcast(all_of(buffer), 0).wait();
    }
  });
  EXPECT_NE(ops.find("all_reduce #1 of 64 fp32 (max)"), std::string::npos) << ops;
  EXPECT_NE(ops.find("broadcast #1 of 64 fp32 from rank 0"), std::string::npos) << ops;

  const std::string messages = mismatch([](Communicator& world) {
    std::vector<float> buffer(3);
    if (world.rank() == 0) {
      world.send(all_of(buffer), 1).wait();
    } else {
      world.recv(all_of(buffer).range(0, {2}), 0).wait();
    }
  });
  EXPECT_NE(messages.find("message #0 of 3 fp32"), std::string::npos) << messages;
  EXPECT_NE(messages.find("message #0 of 2 fp32"), std::string::npos) << messages;
}

TEST(LocalRanks, WhatFailedStaysFailed) {
  run_local_ranks(2, [](Communicator& world) {
    std::vector<float> buffer(world.rank() == 0 ? 8 : 4);
    EXPECT_THROW(world.all_reduce(all_of(buffer), ReduceOp::sum).wait(), Error);
    EXPECT_THROW(world.barrier(), Error);
  });
}

TEST(LocalRanks, MemoryThatIsNotThereIsAnErrorOfTheRank) {
  try {
    run_local_ranks(3, [](Communicator&) {}, {.chunk_bytes = int64_t{1} << 46});
    FAIL() << "this machine has petabytes";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::device) << error.what();
  }
}

/// Works with others while an exception passes, as a cleanup may.
class Cleanup {
 public:
  Cleanup(Communicator& world, std::vector<float>& buffer) : world_(world), buffer_(buffer) {}
  ~Cleanup() {
    const Pending pending = world_.all_reduce(all_of(buffer_), ReduceOp::sum);  // waits at the end of this scope
  }

 private:
  Communicator& world_;
  std::vector<float>& buffer_;
};

TEST(LocalRanks, CleanupsMayWaitWhileAnExceptionPasses) {
  run_local_ranks(2, [](Communicator& world) {
    std::vector<float> buffer(100000, 1.0F);
    EXPECT_THROW(
        {
          const Cleanup cleanup(world, buffer);
          throw std::runtime_error("unwind");
        },
        std::runtime_error);
    EXPECT_EQ(buffer, std::vector<float>(100000, 2.0F));
    EXPECT_NO_THROW(world.barrier().wait());  // nothing was abandoned
  });
}

TEST(LocalRanks, PendingOutlivesItsCommunicator) {
  run_local_ranks(3, [](Communicator& world) {
    std::vector<float> buffer(100000, 1.0F);
    Pending pending;
    {
      const auto group = world.split(0, world.rank(), "short-lived");
      pending = group->all_reduce(all_of(buffer), ReduceOp::sum);
    }
    world.barrier().wait();
    pending.wait();
    EXPECT_EQ(buffer, std::vector<float>(100000, 3.0F));
  });
}

/// Two ranks of which the other never answers, or at once.
class ScriptedTransport : public Transport {
 public:
  struct Events {
    int abandoned = 0;
  };
  ScriptedTransport(Events& events, bool answers) : events_(events), answers_(answers) {}
  int rank() const override { return 0; }
  int size() const override { return 2; }
  int max_group() const override { return 100; }
  Request post_send(std::span<const std::byte>, int, const MessageTag&) override { return 0; }
  Request post_recv(std::span<std::byte>, int, const MessageTag&) override { return 1; }
  bool test(Request) override { return answers_; }
  void wait_for_change() override {}
  void abandon() noexcept override { ++events_.abandoned; }

 private:
  Events& events_;
  bool answers_;
};

TEST(HostCommunicator, PartsInOrderUnlessMessagesAreInFlight) {
  for (const bool answers : {true, false}) {
    ScriptedTransport::Events events;
    std::vector<float> buffer(4);
    Pending pending;
    {
      HostCommunicator communicator(std::make_unique<ScriptedTransport>(events, answers), {});
      if (!answers) pending = communicator.send(all_of(buffer), 1);
      EXPECT_EQ(communicator.unsettled(), !answers);
    }
    // A transport that was abandoned must not be used again: MPI_Comm_free only follows an orderly end.
    EXPECT_EQ(events.abandoned, answers ? 0 : 1);
    if (!answers) {
      EXPECT_THROW(pending.wait(), Error);
    }
  }
}

TEST(HostCommunicator, StagingIsKnownBeforeItIsMade) {
  const MessageOptions options{.chunk_bytes = 1000, .window = 3};
  for (int size = 1; size <= 3; ++size) {
    run_local_ranks(
        size,
        [&](Communicator& world) {
          const auto dry = dry_communicator({.rank = world.rank(), .size = world.size()}, nullptr, options);
          EXPECT_EQ(world.staging_bytes(), dry->staging_bytes());
          // Two buffers a lane, in whole cache lines; a group of one adds nothing.
          EXPECT_EQ(world.staging_bytes(), world.size() == 1 ? 0 : 2 * 3 * 1024);
          EXPECT_EQ(world.split(world.rank(), 0, "alone")->staging_bytes(), 0);
        },
        options);
  }
}

TEST(SoloCommunicator, IsTheIdentity) {
  const std::unique_ptr<Communicator> solo = solo_communicator();
  EXPECT_EQ(solo->size(), 1);
  std::vector<float> buffer = {1, 2, 3};
  solo->all_reduce(all_of(buffer), ReduceOp::sum).wait();
  std::vector<float> copy(3);
  solo->all_gather(all_of(buffer), all_of(copy)).wait();
  EXPECT_EQ(copy, (std::vector<float>{1, 2, 3}));
  EXPECT_EQ(solo->totals().at("all_reduce"), (CommTotal{.calls = 1, .messages = 0, .bytes = 0}));
}

TEST(CollectiveCall, RefusesWhatDoesNotFit) {
  const std::unique_ptr<Communicator> dry = dry_communicator({.rank = 0, .size = 4});
  std::vector<float> buffer(16);
  const auto message = [&](const std::function<void()>& call) -> std::string {
    try {
      call();
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::internal);
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(message([&] { dry->all_gather(all_of(buffer).range(0, {3}), all_of(buffer)); }),
            "all_gather: input (3) fp32 and output (16) fp32 do not fit a group of 4");
  EXPECT_EQ(message([&] { dry->broadcast(all_of(buffer), 4); }), "broadcast: rank 4 is not in a group of 4");
  EXPECT_EQ(message([&] {
              dry->all_reduce({{nullptr, DType::u8, Shape{4}}}, ReduceOp::sum);
            }),
            "all_reduce: cannot reduce u8, only fp32, bf16, fp64 and i64");
  EXPECT_EQ(message([&] { dry->all_to_all(all_of(buffer), all_of(buffer)); }),
            "all_to_all: input and output overlap; only the own part of the larger one may be the other one");
  EXPECT_EQ(message([&] { dry->all_gather(all_of(buffer).range(4, {4}), all_of(buffer)); }),
            "all_gather: input and output overlap; only the own part of the larger one may be the other one");
  const auto messages = dry_communicator({.rank = 0, .size = 4, .use = GroupUse::messages});
  EXPECT_EQ(message([&] { messages->all_reduce(all_of(buffer), ReduceOp::sum); }),
            "all_reduce: this group was made for messages, without memory for sums");
  EXPECT_EQ(message([&] { dry->split(0, 0, "dp"); }), "split dp: this dry communicator was made without a split rule");
}

}  // namespace
}  // namespace trireme::runtime
