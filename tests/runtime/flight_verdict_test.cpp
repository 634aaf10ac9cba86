// Who is late, from what all ranks were last heard to be at.
#include "runtime/flight_verdict.h"

#include <gtest/gtest.h>

#include <functional>
#include <numeric>

#include "runtime/flight_words.h"

namespace trireme::runtime {
namespace {

constexpr double kLimit = 5;

/// Ranks that train, each on a host of its own, each having just done something; `group` is one of the world.
class World {
 public:
  explicit World(int size) {
    std::vector<int> all(static_cast<size_t>(size));
    std::iota(all.begin(), all.end(), 0);
    for (const int rank : all) {
      WatchedRank watched{.host = "node" + std::to_string(rank)};
      watched.flight.phase = Phase::training;
      ranks.push_back(watched);
    }
    add_group(0, "world", all);
  }

  void add_group(int id, const std::string& name, const std::vector<int>& members) {
    for (const int member : members) {
      at(member).flight.groups.push_back({.id = id, .name = name, .world_ranks = members});
    }
  }

  WatchedRank& at(int rank) { return ranks[static_cast<size_t>(rank)]; }
  GroupFlight& group(int rank, int id) {
    for (GroupFlight& group : at(rank).flight.groups) {
      if (group.id == id) return group;
    }
    throw std::runtime_error("no such group");
  }

  /// The rank has entered `entered` collectives of the group and is done with them.
  void pass(int rank, int id, int64_t entered) { group(rank, id).entered = entered; }

  /// It has entered the call, which goes on.
  void enter(int rank, int id, FlightCall call) {
    GroupFlight& own = group(rank, id);
    call.elements = call.elements == 0 && call.op != "barrier" ? 100 : call.elements;
    if (call.peer < 0) {
      own.entered = call.position + 1;
    } else {
      own.messages.push_back({.peer = call.peer,
                              .sent = call.op == "send" ? call.position + 1 : 0,
                              .received = call.op == "recv" ? call.position + 1 : 0});
    }
    own.in_flight.push_back(call);
    const auto index = static_cast<size_t>(&own - at(rank).flight.groups.data());
    at(rank).flight.last = FlightPlace{.group = index, .call = call};
    at(rank).flight.last_left = false;
  }
  /// And waits for it, for some time.
  void wait(int rank, int id, const FlightCall& call, double seconds = kLimit) {
    enter(rank, id, call);
    at(rank).flight.waits = at(rank).flight.last;
    at(rank).unmoved_seconds = seconds;
  }

  std::string reason() const {
    const auto verdict = judge(ranks, kLimit);
    return verdict ? verdict->reason : "";
  }
  std::vector<int> accused() const {
    const auto verdict = judge(ranks, kLimit);
    return verdict ? verdict->ranks : std::vector<int>{-1};
  }

  std::vector<WatchedRank> ranks;
};

FlightCall all_reduce(int64_t position) {
  return {.op = "all_reduce", .position = position, .elements = 100, .dtype = DType::fp32};
}
FlightCall barrier(int64_t position) {
  return {.op = "barrier", .position = position};
}
FlightCall recv(int64_t position, int peer) {
  return {.op = "recv", .position = position, .elements = 100, .dtype = DType::fp32, .peer = peer};
}
FlightCall send(int64_t position, int peer) {
  return {.op = "send", .position = position, .elements = 100, .dtype = DType::fp32, .peer = peer};
}

/// All of 8 but rank 2 wait in all_reduce #812; rank 2 has passed #811 and then did nothing.
World one_missing() {
  World world(8);
  world.add_group(3, "dp", {0, 1, 2, 3, 4, 5, 6, 7});
  for (const int rank : {0, 1, 3, 4, 5, 6, 7}) world.wait(rank, 3, all_reduce(812));
  world.pass(2, 3, 812);
  world.at(2).flight.last = FlightPlace{.group = 1, .call = all_reduce(811)};
  world.at(2).flight.last_left = true;
  world.at(2).unmoved_seconds = 5.12;
  return world;
}

TEST(FlightVerdict, NamesWhoHasNotEntered) {
  const World world = one_missing();
  EXPECT_EQ(world.accused(), std::vector<int>{2});
  EXPECT_EQ(world.reason(),
            "rank 2 (node2) has not arrived: it has done nothing for 5.1 s, in training, last call all_reduce #811 on "
            "dp; ranks 0-1, 3-7 wait in all_reduce #812 on dp");
}

TEST(FlightVerdict, WhoMovesIsNotLate) {
  World world = one_missing();
  world.at(2).unmoved_seconds = 4.9;
  EXPECT_EQ(world.reason(), "");
  for (const Phase phase : {Phase::validating, Phase::training}) {
    world.at(2).flight.phase = phase;
    world.at(2).unmoved_seconds = 0.2;  // a long validation, however long the others have waited
    for (const int rank : {0, 1, 3, 4, 5, 6, 7}) world.at(rank).unmoved_seconds = 1000;
    EXPECT_EQ(world.reason(), "");
  }
}

TEST(FlightVerdict, PhasesWithFilesHaveTenTimesTheLimit) {
  for (const Phase phase : {Phase::starting, Phase::loading, Phase::saving}) {
    World world = one_missing();
    world.at(2).flight.phase = phase;
    world.at(2).unmoved_seconds = 10 * kLimit - 0.1;
    for (const int rank : {0, 1, 3, 4, 5, 6, 7}) world.at(rank).unmoved_seconds = 10 * kLimit - 0.1;
    EXPECT_EQ(world.reason(), "") << name(phase);
    world.at(2).unmoved_seconds = 10 * kLimit;
    EXPECT_EQ(world.accused(), std::vector<int>{2}) << name(phase);
    EXPECT_NE(world.reason().find("done nothing for 50.0 s, in " + std::string(name(phase))), std::string::npos);
  }
  World world = one_missing();
  world.at(2).flight.phase = Phase::ending;
  EXPECT_EQ(world.accused(), std::vector<int>{2});
}

TEST(FlightVerdict, NobodyIsLateForNobody) {
  World world(4);
  for (WatchedRank& rank : world.ranks) rank.unmoved_seconds = 1000;
  EXPECT_EQ(world.reason(), "");
  world.at(1).silent_seconds = 1000;
  world.at(2).gone = true;
  world.at(2).silent_seconds = 1000;
  EXPECT_EQ(world.reason(), "");
}

TEST(FlightVerdict, OfNoOtherHostHeardTakesItsOwnForCutOff) {
  World world(4);
  world.at(1).host = world.at(0).host;
  for (const int rank : {0, 1}) world.wait(rank, 0, {.op = "all_reduce", .position = 7});
  for (const int rank : {2, 3}) world.at(rank).silent_seconds = 6;
  EXPECT_EQ(world.reason(), "");  // the others judge first
  for (const int rank : {2, 3}) world.at(rank).silent_seconds = 7.5;
  EXPECT_EQ(world.accused(), (std::vector<int>{0}));
  EXPECT_EQ(world.reason(), "rank 0 (node0) is cut off: nothing heard of any other host for 7.5 s");
  world.at(3).silent_seconds = 100;  // its connection broke long ago
  world.at(2).silent_seconds = 6;
  EXPECT_EQ(world.reason(), "");
  world.at(2).silent_seconds = world.at(3).silent_seconds = 7.5;
  world.at(3).host = world.at(2).host;  // two hosts: each may be the one
  EXPECT_EQ(world.accused(), (std::vector<int>{2, 3}));
  world.at(3).silent_seconds = 0;  // one is heard: the other is gone
  world.wait(3, 0, {.op = "all_reduce", .position = 7});
  EXPECT_EQ(world.accused(), (std::vector<int>{2}));
}

TEST(FlightVerdict, ABrokenConnectionIsNoReasonWhileOthersWaitForSomebodyElse) {
  World world = one_missing();
  world.at(2).flight.phase = Phase::saving;  // and has ten times the limit
  world.at(2).unmoved_seconds = 20;
  world.at(5).gone = true;  // it trains on, unheard
  world.at(5).silent_seconds = 300;
  EXPECT_EQ(world.reason(), "");
  world.at(2).unmoved_seconds = 50;
  EXPECT_EQ(world.accused(), std::vector<int>{2});
}

TEST(FlightVerdict, WhoIsDoneWithACallMayStillHoldItsMessagesBack) {
  World world(4);
  world.add_group(3, "dp", {0, 1, 2, 3});
  for (const int rank : {1, 2, 3}) world.wait(rank, 3, all_reduce(10), 40);
  world.pass(0, 3, 11);
  world.at(0).flight.phase = Phase::starting;  // it writes files, and has ten times the limit
  world.at(0).unmoved_seconds = 40;
  EXPECT_EQ(world.reason(), "");
  world.at(0).unmoved_seconds = 50;
  EXPECT_EQ(world.accused(), std::vector<int>{0});
}

TEST(FlightVerdict, SilentRanksThatNobodyNeedsAreNotAccused) {
  World world(4);
  world.add_group(3, "dp", {0, 1});
  world.wait(0, 3, all_reduce(7));
  world.at(3).silent_seconds = 300;  // not of the group
  EXPECT_EQ(world.reason(), "");
}

TEST(FlightVerdict, NamesWhoIsSilentAlsoWhereItWaitedItself) {
  World world = one_missing();
  world.at(2).silent_seconds = 5.12;
  world.wait(2, 3, all_reduce(812), 0.1);  // its last word, perhaps long outdated
  EXPECT_EQ(world.accused(), std::vector<int>{2});
  EXPECT_EQ(
      world.reason(),
      "rank 2 (node2) has not arrived: nothing heard of it for 5.1 s, last in training, last call all_reduce #812 "
      "on dp (it waited in it); ranks 0-1, 3-7 wait in all_reduce #812 on dp");
  world.at(2).silent_seconds = 4.9;
  world.at(2).unmoved_seconds = 0.1;
  EXPECT_EQ(world.reason(), "");
}

TEST(FlightVerdict, NamesWhoHasEnded) {
  World world = one_missing();
  world.at(2).gone = true;
  world.at(2).silent_seconds = 1;
  world.at(2).unmoved_seconds = 1;
  EXPECT_EQ(world.reason(), "");  // whoever started the job may be ending it
  world.at(2).silent_seconds = 5;
  EXPECT_EQ(world.accused(), std::vector<int>{2});
  EXPECT_EQ(world.reason().find("rank 2 (node2) has not arrived: its connection ended 5.0 s ago"), 0u);
}

TEST(FlightVerdict, SilenceWhileTrainingGoesOnIsABrokenConnection) {
  World world = one_missing();
  world.at(2).silent_seconds = 100;
  world.at(2).gone = true;
  for (const int rank : {0, 1, 3, 4, 5, 6, 7}) world.at(rank).unmoved_seconds = 0.3;  // they wait now and then
  EXPECT_EQ(world.reason(), "");
}

TEST(FlightVerdict, RanksOfOneHostAreLostTogether) {
  World world(8);
  for (int rank = 0; rank < 6; ++rank) world.wait(rank, 0, barrier(4));
  for (const int rank : {6, 7}) {
    world.at(rank).host = "node3";
    world.at(rank).silent_seconds = rank == 6 ? 5.0 : 4.8;  // the last words of one came later
  }
  EXPECT_EQ(world.accused(), (std::vector<int>{6, 7}));
  EXPECT_EQ(
      world.reason(),
      "ranks 6-7 (node3) have not arrived: rank 6: nothing heard of it for 5.0 s, last in training, no call yet; "
      "rank 7: nothing heard of it for 4.8 s, last in training, no call yet; ranks 0-5 wait in barrier #4 on world");
}

TEST(FlightVerdict, UnwatchedRanksAreNeitherLateNorAReason) {
  World world = one_missing();
  world.at(2).watched = false;
  world.at(2).silent_seconds = 1000;
  EXPECT_EQ(world.reason(), "");
  for (int rank = 0; rank < 8; ++rank) world.at(rank).watched = rank == 2;  // the others have left in order
  world.at(2).watched = true;
  EXPECT_EQ(world.reason(), "");
}

TEST(FlightVerdict, FollowsAPipelineToWhoStoppedIt) {
  World world(4);
  world.add_group(2, "pp", {0, 1, 2, 3});
  world.wait(0, 2, recv(7, 1));
  world.wait(1, 2, recv(7, 2));
  world.wait(2, 2, recv(7, 3));
  world.at(3).unmoved_seconds = 2;  // computes
  EXPECT_EQ(world.reason(), "");
  world.at(3).unmoved_seconds = 5;
  EXPECT_EQ(world.accused(), std::vector<int>{3});
  EXPECT_EQ(world.reason().find("rank 3 (node3) has not arrived: it has done nothing for 5.0 s"), 0u);
  EXPECT_NE(world.reason().find("; ranks 0-2 wait in recv #7 on pp"), std::string::npos) << world.reason();
}

TEST(FlightVerdict, ASendWaitsForItsReceiver) {
  World world(2);
  world.wait(0, 0, send(3, 1));
  world.at(1).unmoved_seconds = 5;
  EXPECT_EQ(world.accused(), std::vector<int>{1});
  EXPECT_NE(world.reason().find("; rank 0 waits in send #3 to rank 1 on world"), std::string::npos) << world.reason();
  world.group(1, 0).messages = {{.peer = 0, .sent = 100, .received = 4}};  // has it, and may hold back what says so
  EXPECT_EQ(world.accused(), std::vector<int>{1});
  world.wait(1, 0, recv(4, 0));
  EXPECT_EQ(world.reason().find("messages are lost between ranks 0-1: all have entered send #3"), 0u) << world.reason();
}

TEST(FlightVerdict, GroupsOfOneSplitDoNotMix) {
  World world(4);
  world.add_group(2, "dp", {0, 2});
  world.add_group(2, "dp", {1, 3});
  for (const int rank : {0, 2}) world.pass(rank, 2, 900);
  for (const int rank : {0, 2}) world.wait(rank, 0, barrier(1));
  world.wait(1, 2, all_reduce(812));
  world.pass(3, 2, 812);
  world.at(3).unmoved_seconds = 6;
  EXPECT_EQ(world.accused(), std::vector<int>{3});
  EXPECT_NE(world.reason().find("; ranks 0, 2 wait in barrier #1 on world; rank 1 waits in all_reduce #812 on dp"),
            std::string::npos)
      << world.reason();
}

TEST(FlightVerdict, AGroupNotMadeYetIsNotEntered) {
  World world(3);
  world.add_group(2, "dp", {0, 1, 2});
  world.at(2).flight.groups.pop_back();
  for (const int rank : {0, 1}) world.wait(rank, 2, barrier(0));
  world.at(2).unmoved_seconds = 5;
  EXPECT_EQ(world.accused(), std::vector<int>{2});
}

TEST(FlightVerdict, NamesWhoEnteredAndStoppedWorking) {
  World world = one_missing();
  world.enter(2, 3, all_reduce(812));  // its messages move only when it computes or waits
  EXPECT_EQ(world.accused(), std::vector<int>{2});
  EXPECT_NE(world.reason().find("last call all_reduce #812 on dp (not done)"), std::string::npos) << world.reason();
  world.at(2).unmoved_seconds = 1;
  EXPECT_EQ(world.reason(), "");
  world.at(2).unmoved_seconds = 5;
  world.group(2, 3).in_flight.clear();  // done with it: MPI may still have messages of it to send
  EXPECT_EQ(world.accused(), std::vector<int>{2});
}

TEST(FlightVerdict, WhoIsMissingCountsMoreThanWhoIsIdle) {
  World world = one_missing();
  world.at(5).flight.waits.reset();  // between two ops, its all_reduce in flight
  EXPECT_EQ(world.accused(), std::vector<int>{2});
}

TEST(FlightVerdict, NamesTheOneInAnotherCall) {
  World world(4);
  world.add_group(2, "dp", {0, 1, 2, 3});
  for (const int rank : {0, 1, 3}) {
    world.pass(rank, 2, 6);
    world.wait(rank, 0, barrier(4));
  }
  world.wait(2, 2, all_reduce(6));
  EXPECT_EQ(world.accused(), std::vector<int>{2});
  EXPECT_EQ(world.reason(),
            "rank 2 is in another call than the others: ranks 0-1, 3 wait in barrier #4 on world; rank 2 waits in "
            "all_reduce #6 on dp");
  world.at(3).unmoved_seconds = 4;  // somebody moved
  EXPECT_EQ(world.reason(), "");
}

TEST(FlightVerdict, TwoRanksInDifferentCallsAreBothNamed) {
  World world(2);
  world.wait(0, 0, recv(0, 1));
  world.wait(1, 0, barrier(4));
  EXPECT_EQ(world.accused(), std::vector<int>{});
  EXPECT_EQ(world.reason(),
            "ranks are in different calls: rank 0 waits in recv #0 from rank 1 on world; rank 1 waits in barrier #4 on "
            "world");
}

TEST(FlightVerdict, SaysThatMessagesAreLost) {
  World world(3);
  for (int rank = 0; rank < 3; ++rank) world.wait(rank, 0, all_reduce(5), 7 + rank);
  EXPECT_EQ(world.accused(), std::vector<int>{});
  EXPECT_EQ(world.reason(),
            "messages are lost between ranks 0-2: all have entered all_reduce #5 on world, and nothing has moved for "
            "7.0 s");
  world.at(1).unmoved_seconds = 0.1;
  EXPECT_EQ(world.reason(), "");
}

TEST(FlightVerdict, WhoCameLastAndWaitsInTheNextCallHasJustSentItsMessages) {
  World world(4);
  for (const int rank : {1, 2, 3}) world.wait(rank, 0, all_reduce(5), 4.7 * kLimit);
  world.pass(0, 0, 6);
  world.wait(0, 0, all_reduce(6), 0.01);
  EXPECT_EQ(world.reason(), "");
  world.at(0).unmoved_seconds = kLimit;
  EXPECT_EQ(world.reason().find("messages are lost between ranks 1-3: all have entered all_reduce #5"), 0u)
      << world.reason();
}

TEST(FlightVerdict, ADisagreementIsDecidedByTheMajority) {
  World world(4);
  world.add_group(2, "dp", {0, 1, 2, 3});
  for (const int rank : {0, 1}) world.wait(rank, 2, all_reduce(6), 0.1);
  world.enter(3, 2, all_reduce(6));
  FlightCall other = all_reduce(6);
  other.elements = 70;
  world.enter(2, 2, other);
  world.at(2).disagreement = world.at(3).disagreement = "group dp: rank 3 is at one thing, rank 2 at another";
  EXPECT_EQ(world.accused(), std::vector<int>{2});
  EXPECT_EQ(
      world.reason(),
      "rank 2 (node2) is in all_reduce #6 of 70 fp32 on dp, where ranks 0-1, 3 are in all_reduce #6 of 100 fp32 on "
      "dp");
  world.group(2, 2).in_flight = {barrier(6)};
  EXPECT_EQ(world.reason(),
            "rank 2 (node2) is in barrier #6 on dp, where ranks 0-1, 3 are in all_reduce #6 of 100 fp32 on dp");
}

TEST(FlightVerdict, ADisagreementOfTwoNamesBoth) {
  World world(2);
  world.enter(0, 0, all_reduce(6));
  world.enter(1, 0, barrier(6));
  world.at(1).disagreement = "who knows";
  EXPECT_EQ(world.accused(), std::vector<int>{});
  EXPECT_EQ(
      world.reason(),
      "ranks are in different calls: rank 0 (node0) is in all_reduce #6 of 100 fp32 on world; rank 1 (node1) is in "
      "barrier #6 on world");
}

TEST(FlightVerdict, MessagesOfOtherSizesNameBothSides) {
  World world(2);
  world.enter(0, 0, send(6, 1));
  FlightCall other = recv(6, 0);
  other.elements = 7;
  world.enter(1, 0, other);
  world.at(1).disagreement = "who knows";
  EXPECT_EQ(world.reason(),
            "ranks are in different calls: rank 0 (node0) is in send #6 of 100 fp32 to rank 1 on world; rank 1 (node1) "
            "is in recv #6 of 7 fp32 from rank 0 on world");
}

TEST(FlightVerdict, WhatTheCallsDoNotShowTheDisagreementSays) {
  World world(2);
  world.enter(0, 0, all_reduce(6));
  world.enter(1, 0, all_reduce(6));
  world.at(1).disagreement = "rank 1 is at all_reduce #6 (sum), rank 0 at all_reduce #6 (max)";
  EXPECT_EQ(world.reason(), "rank 1 is at all_reduce #6 (sum), rank 0 at all_reduce #6 (max)");
}

TEST(FlightVerdict, IsShortForManyRanks) {
  World world(1024);
  for (int rank = 0; rank < 1024; ++rank) {
    world.at(rank).host = "node" + std::to_string(rank / 8);
    if (rank % 3 == 0) {
      world.at(rank).silent_seconds = 6;
    } else {
      world.wait(rank, 0, barrier(rank % 7));
    }
  }
  EXPECT_EQ(world.accused().size(), 342u);
  EXPECT_LT(world.reason().size(), 800u) << world.reason();
  EXPECT_EQ(world.reason().find("ranks 0, 3, 6, 9, 12, 15, 18, 21 and 334 more (node0, node1, node2, node3 and 124 more"
                                " hosts) have not arrived: "),
            0u)
      << world.reason();
}

TEST(FlightWords, RanksAreRanges) {
  EXPECT_EQ(rank_words({3}), "rank 3");
  EXPECT_EQ(rank_words({0, 1, 3, 4, 5, 9}), "ranks 0-1, 3-5, 9");
  EXPECT_EQ(rank_words({0, 2, 4, 6, 8, 10, 12, 14, 16, 18}), "ranks 0, 2, 4, 6, 8, 10, 12, 14 and 2 more");
}

}  // namespace
}  // namespace trireme::runtime
