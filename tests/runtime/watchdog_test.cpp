// Watchdogs of worlds of threads. A verdict ends the process, hence each of these runs in one of its own. Limits are
// long beside what a busy machine may take from a thread: a rank that works must never be named here.
#include "runtime/watchdog.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <iostream>
#include <thread>

#include "runtime/error.h"
#include "runtime/local_ranks.h"
#include "runtime/log.h"
#include "runtime/watchdog_leader.h"
#include "runtime/watchdog_member.h"

namespace trireme::runtime {
namespace {

using namespace std::chrono_literals;

constexpr double kLimit = 1.5;

View all_of(std::vector<float>& values) {
  return view_of(std::span<float>(values), {static_cast<int64_t>(values.size())});
}

class WatchdogDeathTest : public testing::Test {
 protected:
  WatchdogDeathTest() { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

/// Each rank under a watchdog, in training; a mismatch is told to it. Ends with exit code 0 when nobody is late.
void run_watched(int size, const std::function<void(Communicator&)>& body, const WatchdogOptions& options) {
  alarm(100);  // a hang
  run_local_ranks(size, [&](Communicator& world) {
    Watchdog watchdog(world, options);
    world.recorder()->set_phase(Phase::training);
    try {
      body(world);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::mismatch) throw;
      watchdog.disagree(error.what());
    }
    watchdog.end();
  });
  _exit(0);
}
void run_watched(int size, const std::function<void(Communicator&)>& body) {
  run_watched(size, body, {.limit_seconds = kLimit});
}

TEST_F(WatchdogDeathTest, NamesWhoDoesNotComeAndWhereTheOthersWait) {
  const auto body = [](Communicator& world) {
    std::vector<float> buffer(100);
    for (int step = 0; step < 20; ++step) {
      if (step == 10 && world.rank() == 2) std::this_thread::sleep_for(1000s);
      world.all_reduce(all_of(buffer), ReduceOp::sum).wait();
    }
  };
  // Before the 11th step there were the four messages of the watchdog's start.
  EXPECT_EXIT(run_watched(4, body), testing::ExitedWithCode(kWatchdogExit),
              "error: rank 2 \\(.*\\) has not arrived: it has done nothing for .* s, in training, last call all_reduce "
              "#13 on world; ranks 0-1, 3 wait in all_reduce #14 on world");
}

TEST_F(WatchdogDeathTest, RankZeroMayBeTheLateOne) {
  const auto body = [](Communicator& world) {
    if (world.rank() == 0) std::this_thread::sleep_for(1000s);
    world.barrier().wait();
  };
  EXPECT_EXIT(run_watched(2, body), testing::ExitedWithCode(kWatchdogExit), "rank 0 \\(.*\\) has not arrived: it has");
}

TEST_F(WatchdogDeathTest, WatchesTheWayToTheEnd) {
  const auto body = [](Communicator& world) {
    if (world.rank() == 1) std::this_thread::sleep_for(1000s);
  };
  EXPECT_EXIT(run_watched(3, body), testing::ExitedWithCode(kWatchdogExit),
              "rank 1 \\(.*\\) has not arrived: .*; ranks 0, 2 wait in barrier #4 on world");
}

TEST_F(WatchdogDeathTest, NamesWhoIsInAnotherGroup) {
  const auto body = [](Communicator& world) {
    const auto dp = world.split(0, world.rank(), "dp");
    if (world.rank() == 1) dp->barrier().wait();
    world.barrier().wait();
  };
  EXPECT_EXIT(run_watched(4, body), testing::ExitedWithCode(kWatchdogExit),
              "rank 1 is in another call than the others: ranks 0, 2-3 wait in barrier #5 on world; rank 1 waits in "
              "barrier #0 on dp");
}

TEST_F(WatchdogDeathTest, NamesWhoDisagrees) {
  const auto body = [](Communicator& world) {
    const auto dp = world.split(0, world.rank(), "dp");
    std::vector<float> buffer(world.rank() == 2 ? 70 : 100);
    dp->barrier().wait();
    dp->all_reduce(all_of(buffer), ReduceOp::sum).wait();
  };
  EXPECT_EXIT(run_watched(4, body), testing::ExitedWithCode(kWatchdogExit),
              "rank 2 \\(.*\\) is in all_reduce #1 of 70 fp32 on dp, where ranks 0-1, 3 are in all_reduce #1 of 100 "
              "fp32 on dp");
}

TEST_F(WatchdogDeathTest, LeavesANoteButDoesNotWaitForADeadDisk) {
  const auto body = [](Communicator& world) {
    if (world.rank() == 1) std::this_thread::sleep_for(1000s);
    world.barrier().wait();
  };
  const auto record = [](const WatchdogVerdict& verdict) {
    log_info("a note of rank " + std::to_string(verdict.ranks.at(0)) + ", " + verdict.reason.substr(0, 6));
    std::this_thread::sleep_for(1000s);
  };
  EXPECT_EXIT(run_watched(2, body, {.limit_seconds = kLimit, .record = record}), testing::ExitedWithCode(kWatchdogExit),
              "a note of rank 1, rank 1");
  const auto failing = [](const WatchdogVerdict&) { throw Error(ErrorKind::io, "the disk is full"); };
  EXPECT_EXIT(run_watched(2, body, {.limit_seconds = kLimit, .record = failing}),
              testing::ExitedWithCode(kWatchdogExit), "no note of this is left: the disk is full");
}

TEST_F(WatchdogDeathTest, LeavesAloneWhoWorks) {
  const auto body = [](Communicator& world) {
    FlightRecorder& recorder = *world.recorder();
    std::vector<float> buffer(10);
    world.barrier().wait();
    const auto end = std::chrono::steady_clock::now() + 4s;
    if (world.rank() == 1) {  // a slow disk
      const PhaseScope saving(&recorder, Phase::saving);
      std::this_thread::sleep_until(end);
    }
    if (world.rank() == 2) {  // a long validation, or a step of many ops
      while (std::chrono::steady_clock::now() < end) {
        std::this_thread::sleep_for(10ms);
        world.progress();
      }
    }
    world.all_reduce(all_of(buffer), ReduceOp::sum).wait();
  };
  EXPECT_EXIT(run_watched(3, body), testing::ExitedWithCode(0), "^$");
}

TEST_F(WatchdogDeathTest, EveryEndIsQuiet) {
  // Worlds one after the other; ranks that fail destroy their watchdogs without end().
  const auto run = [] {
    alarm(100);
    for (int size = 1; size <= 4; ++size) {
      run_local_ranks(size, [](Communicator& world) {
        Watchdog watchdog(world, {.limit_seconds = kLimit});
        if (world.size() == 1) watchdog.disagree("with nobody");  // returns: nothing is watched
        world.barrier().wait();
        watchdog.end();
      });
    }
    try {
      run_local_ranks(3, [](Communicator& world) {
        const Watchdog watchdog(world, {.limit_seconds = kLimit});
        if (world.rank() == 1) throw Error(ErrorKind::data, "rank 1 fails");
        world.barrier().wait();
      });
    } catch (const Error& error) {
      std::cerr << error.what() << std::endl;
    }
    _exit(0);
  };
  EXPECT_EXIT(run(), testing::ExitedWithCode(0), "^rank 1 fails\n$");
}

/// A rank 0 that has gone silent, and one that closed its connection: the other waits in a call all the while.
void lose_leader(bool closes) {
  alarm(100);
  run_local_ranks(2, [closes](Communicator& world) {
    const WatchdogOptions options{.limit_seconds = kLimit};
    if (world.rank() == 0) {
      LineListener listener;
      const std::string port = std::to_string(listener.port());
      all_gather_bytes(world, port);
      std::vector<LineSocket> sockets;
      while (sockets.empty()) sockets = listener.accept();
      while (sockets.front().receive().empty()) std::this_thread::sleep_for(1ms);
      sockets.front().send("yes");
      std::this_thread::sleep_for(100ms);
      if (closes) sockets.clear();
      std::this_thread::sleep_for(1000s);
    }
    const int port = std::stoi(all_gather_bytes(world, "").front());
    const WatchdogPlace place{.rank = 1, .size = 2, .host = "node1", .recorder = *world.recorder()};
    const WatchdogInvitation invitation{
        .addresses = {"127.0.0.1"}, .port = port, .host = "node0", .question = "who", .answer = "yes"};
    WatchdogMember member(place, options, std::move(*WatchdogMember::connect(place, invitation)), invitation.host);
    world.barrier().wait();
  });
}

TEST_F(WatchdogDeathTest, WhoLosesRankZeroSaysWhatItKnows) {
  EXPECT_EXIT(
      lose_leader(false), testing::ExitedWithCode(kWatchdogExit),
      "rank 0 \\(node0\\) has not arrived: nothing heard of it for .* s; rank 1 \\(node1\\) waits in barrier #2 "
      "on world");
  EXPECT_EXIT(lose_leader(true), testing::ExitedWithCode(kWatchdogExit), "its connection was closed; rank 1");
}

TEST(Watchdog, RankZeroTakesNoStrangers) {
  FlightRecorder recorder;
  const WatchdogPlace place{.rank = 0, .size = 2, .host = "node0", .recorder = recorder};
  const WatchdogLeader leader(place, {.limit_seconds = 1});
  const WatchdogInvitation invitation = leader.invitation();
  const auto try_words = [&](const std::string& hello) {
    return connect_to_any({"127.0.0.1"}, invitation.port, hello, invitation.answer, 20s).has_value();
  };
  EXPECT_FALSE(try_words("GET / HTTP/1.1"));
  EXPECT_FALSE(try_words("hello wrong 1 node1"));
  EXPECT_FALSE(try_words("hello " + invitation.question + " 0 node1"));
  EXPECT_FALSE(try_words("hello " + invitation.question + " 2 node1"));
  EXPECT_FALSE(try_words("hello " + invitation.question + " one node1"));
  EXPECT_FALSE(try_words("hello " + invitation.question + " 1"));
  EXPECT_TRUE(try_words("hello " + invitation.question + " 1 node1"));
}

}  // namespace
}  // namespace trireme::runtime
