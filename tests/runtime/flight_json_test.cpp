// Beats: what a rank is at, through a line of JSON and back.
#include "runtime/flight_json.h"

#include <gtest/gtest.h>

#include "runtime/error.h"

namespace trireme::runtime {
namespace {

RankFlight busy_rank() {
  const FlightCall all_reduce{.op = "all_reduce", .position = 812, .elements = 4096, .dtype = DType::bf16};
  const FlightCall recv{.op = "recv", .position = 40, .elements = 7, .dtype = DType::fp32, .peer = 2};
  return {.phase = Phase::training,
          .count = 123456789012,
          .groups = {{.id = 0, .name = "world", .world_ranks = {0, 1, 2, 3}, .entered = 3},
                     {.id = 4,
                      .name = "d\"p",
                      .world_ranks = {1, 3},
                      .entered = 813,
                      .messages = {{.peer = 2, .sent = 5, .received = 41}},
                      .in_flight = {all_reduce, recv}}},
          .waits = FlightPlace{.group = 1, .call = recv},
          .last = FlightPlace{.group = 1, .call = recv},
          .last_left = true};
}

TEST(FlightJson, ComesBackWhole) {
  RankFlight heard;
  read_flight_line(flight_line(busy_rank(), {}), 4, heard);
  EXPECT_EQ(heard, busy_rank());
}

TEST(FlightJson, SaysOnlyWhatChanged) {
  EXPECT_EQ(flight_line(busy_rank(), busy_rank()), "{}");
  RankFlight heard = busy_rank();
  RankFlight now = busy_rank();
  now.count += 1;
  now.waits.reset();
  EXPECT_EQ(flight_line(now, heard), R"({"count":123456789013,"waits":null})");
  now.groups[1].entered += 1;
  EXPECT_EQ(flight_line(now, heard).find("ranks"), std::string::npos);
  read_flight_line(flight_line(now, heard), 4, heard);
  EXPECT_EQ(heard, now);
  now.groups.pop_back();
  now.last.reset();
  read_flight_line(flight_line(now, heard), 4, heard);
  EXPECT_EQ(heard, now);
}

TEST(FlightJson, RefusesWhatNoRankCouldBeAt) {
  const auto refused = [](const std::string& line, const RankFlight& before = busy_rank()) {
    RankFlight heard = before;
    EXPECT_THROW(read_flight_line(line, 4, heard), Error) << line;
    EXPECT_EQ(heard, before) << line;
  };
  for (const char* line :
       {"", "{", "[]", "7", R"({"count":"x"})", R"({"phase":"resting"})", R"({"waits":[2,["recv",1,1,"u8",0]]})",
        R"({"waits":[0,["recv",1,1,"u8",4]]})", R"({"waits":[0,["recv",1,1,"u7",0]]})", R"({"waits":[0]})",
        R"({"standing":[]})", R"({"groups":[]})", R"({"groups":[{"id":1,"name":"dp","ranks":[4]}]})",
        R"({"groups":[{"id":1,"name":"dp","ranks":[]}]})"}) {
    refused(line);
  }
  refused(flight_line(busy_rank(), {}).substr(0, 100), {});
  RankFlight of_more_ranks = busy_rank();
  of_more_ranks.groups[0].world_ranks.push_back(4);
  refused(flight_line(of_more_ranks, {}), {});
}

}  // namespace
}  // namespace trireme::runtime
