// What a rank is at, as others see it: on worlds of threads.
#include "runtime/flight_recorder.h"

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/error.h"
#include "runtime/local_ranks.h"

namespace trireme::runtime {
namespace {

View all_of(std::vector<float>& values) {
  return view_of(std::span<float>(values), {static_cast<int64_t>(values.size())});
}

TEST(FlightRecorder, PositionsAreAlikeOnAllRanks) {
  run_local_ranks(4, [](Communicator& world) {
    const int rank = world.rank();
    const auto dp = world.split(rank % 2, rank, "dp");
    std::vector<float> buffer(100);
    dp->all_reduce(all_of(buffer), ReduceOp::sum).wait();
    dp->barrier().wait();
    for (int i = 0; i < 3; ++i) {  // from each rank to the next of dp, which is two further in the world
      if (dp->rank() == 0) dp->send(all_of(buffer), 1).wait();
      if (dp->rank() == 1) dp->recv(all_of(buffer), 0).wait();
    }
    const RankFlight flight = world.recorder()->flight();
    ASSERT_EQ(flight.groups.size(), 2u);
    EXPECT_EQ(flight.groups[0].name, "world");
    EXPECT_EQ(flight.groups[0].world_ranks, (std::vector<int>{0, 1, 2, 3}));
    EXPECT_EQ(flight.groups[0].entered, 1);  // the split
    const GroupFlight& group = flight.groups[1];
    EXPECT_EQ(group.name, "dp");
    EXPECT_GT(group.id, flight.groups[0].id);
    EXPECT_EQ(group.world_ranks, (std::vector<int>{rank % 2, rank % 2 + 2}));
    EXPECT_EQ(group.entered, 2);
    EXPECT_TRUE(group.in_flight.empty());
    using Messages = GroupFlight::Messages;
    const Messages messages =
        rank < 2 ? Messages{.peer = rank + 2, .sent = 3} : Messages{.peer = rank - 2, .received = 3};
    EXPECT_EQ(group.messages, std::vector<Messages>{messages});
    EXPECT_FALSE(flight.waits);
    const FlightCall last{
        .op = rank < 2 ? "send" : "recv", .position = 2, .elements = 100, .dtype = DType::fp32, .peer = messages.peer};
    EXPECT_EQ(flight.last, (FlightPlace{.group = 1, .call = last}));
    EXPECT_TRUE(flight.last_left);
  });
}

TEST(FlightRecorder, SaysWhatIsWaitedForAndWhatIsInFlight) {
  std::array<std::atomic<FlightRecorder*>, 2> recorders{};
  run_local_ranks(2, [&](Communicator& world) {
    recorders[static_cast<size_t>(world.rank())] = world.recorder();
    std::vector<float> sum(1000);
    std::vector<float> message(10);
    world.barrier().wait();
    if (world.rank() == 0) {
      Pending all_reduce = world.all_reduce(all_of(sum), ReduceOp::sum);
      world.recv(all_of(message), 1).wait();
      all_reduce.wait();
      return;
    }
    const FlightRecorder& other = *recorders[0];
    RankFlight flight = other.flight();
    while (!flight.waits || flight.waits->call.op != "recv") flight = other.flight();
    const FlightCall all_reduce{.op = "all_reduce", .position = 1, .elements = 1000, .dtype = DType::fp32};
    const FlightCall recv{.op = "recv", .position = 0, .elements = 10, .dtype = DType::fp32, .peer = 1};
    EXPECT_EQ(flight.waits, (FlightPlace{.group = 0, .call = recv}));
    EXPECT_EQ(flight.groups[0].in_flight, (std::vector<FlightCall>{all_reduce, recv}));
    EXPECT_EQ(flight.last, (FlightPlace{.group = 0, .call = recv}));
    EXPECT_FALSE(flight.last_left);
    EXPECT_EQ(flight.groups[0].entered, 2);
    world.all_reduce(all_of(sum), ReduceOp::sum).wait();
    world.send(all_of(message), 0).wait();
  });
}

TEST(FlightRecorder, CountMovesWithOpsCallsAndMessagesAndNotWhileWaiting) {
  std::atomic<FlightRecorder*> recorder = nullptr;
  run_local_ranks(2, [&](Communicator& world) {
    std::vector<float> buffer(10);
    if (world.rank() == 0) {
      FlightRecorder& own = *world.recorder();
      int64_t before = own.count();
      world.progress();  // what an op's dispatch calls
      EXPECT_EQ(own.count(), before + 1);
      before = own.count();
      own.set_phase(Phase::saving);
      EXPECT_EQ(own.count(), before + 1);
      world.barrier().wait();
      EXPECT_GE(own.count(), before + 4);  // entered, a header and a message, left
      recorder = &own;
      world.recv(all_of(buffer), 1).wait();
      return;
    }
    world.barrier().wait();
    const auto waits = [&] {
      const std::optional<FlightPlace> place = recorder.load()->flight().waits;
      return place && place->call.op == "recv";
    };
    while (recorder == nullptr || !waits()) std::this_thread::yield();
    const int64_t before = recorder.load()->count();
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
    EXPECT_EQ(recorder.load()->count(), before);
    EXPECT_EQ(recorder.load()->phase(), Phase::saving);
    world.send(all_of(buffer), 0).wait();
  });
}

TEST(FlightRecorder, IsReadWhileGroupsComeAndGo) {
  run_local_ranks(3, [&](Communicator& world) {
    std::atomic<bool> done = false;
    size_t most_groups = 0;
    std::jthread reader([&] {
      while (!done) {
        most_groups = std::max(most_groups, world.recorder()->flight().groups.size());
        std::this_thread::sleep_for(std::chrono::microseconds(50));
      }
    });
    std::vector<float> buffer(100);
    for (int i = 0; i < 40; ++i) {
      const auto group = world.split(0, world.rank(), "short-lived");
      group->all_reduce(all_of(buffer), ReduceOp::sum).wait();
    }
    done = true;
    reader.join();
    EXPECT_LT(most_groups, 30u);  // the engine drops the queues of old ones at the next call that it blocks in
  });
}

TEST(FlightRecorder, KeepsTheGroupsOfAFailure) {
  run_local_ranks(2, [](Communicator& world) {
    {
      const auto group = world.split(0, world.rank(), "dp");
      std::vector<float> buffer(world.rank() == 0 ? 8 : 4);
      try {
        group->all_reduce(all_of(buffer), ReduceOp::sum).wait();
        ADD_FAILURE() << "sizes differ";
      } catch (const Error&) {  // of the mismatch, or of the other one that left because of it
      }
    }
    const RankFlight flight = world.recorder()->flight();
    EXPECT_FALSE(flight.waits);
    ASSERT_EQ(flight.groups.size(), 2u);
    ASSERT_EQ(flight.groups[1].in_flight.size(), 1u);
    EXPECT_EQ(flight.groups[1].in_flight[0].elements, world.rank() == 0 ? 8 : 4);
  });
}

TEST(FlightRecorder, AddsUpWhatTheThreadWaitedInAndNothingElse) {
  std::atomic<FlightRecorder*> first = nullptr;
  run_local_ranks(2, [&](Communicator& world) {
    FlightRecorder& recorder = *world.recorder();
    if (world.rank() == 0) first = &recorder;
    world.barrier().wait();
    const double before = recorder.waited_seconds();
    if (world.rank() == 1) {
      while (!first.load()->flight().waits) std::this_thread::yield();
      std::this_thread::sleep_for(std::chrono::milliseconds(50));
      EXPECT_EQ(recorder.waited_seconds(), before);
    }
    world.barrier().wait();
    if (world.rank() == 0) {
      EXPECT_GE(recorder.waited_seconds() - before, 0.05);
    }
    world.barrier().wait();  // the recorder of rank 0 is looked at until here
  });
}

TEST(FlightRecorder, PhasesEndWithTheirScopes) {
  FlightRecorder recorder;
  recorder.set_phase(Phase::training);
  {
    const PhaseScope saving(&recorder, Phase::saving);
    EXPECT_EQ(recorder.phase(), Phase::saving);
  }
  EXPECT_EQ(recorder.phase(), Phase::training);
  const PhaseScope nothing(nullptr, Phase::saving);
  for (const Phase phase :
       {Phase::starting, Phase::loading, Phase::training, Phase::validating, Phase::saving, Phase::ending}) {
    EXPECT_EQ(phase_from_name(name(phase)), phase);
  }
  EXPECT_FALSE(phase_from_name("resting"));
}

TEST(FlightRecorder, IsAbsentFromAProgramStartedAlone) {
  EXPECT_EQ(solo_communicator()->recorder(), nullptr);
}

}  // namespace
}  // namespace trireme::runtime
