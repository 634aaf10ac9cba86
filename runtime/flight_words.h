// How ranks and their calls are said in a verdict: short, for 1,024 ranks too.
#pragma once

#include <string>
#include <vector>

#include "runtime/flight_verdict.h"

namespace trireme::runtime {

/// "rank 3", "ranks 0-1, 3-7"; of many ranges the first and how many ranks more. `ranks` ascend.
std::string rank_words(const std::vector<int>& ranks);

/// "all_reduce #812 on dp", "recv #4 from rank 2 on pp"
std::string call_words(const FlightCall& call, const std::string& group);

/// The same with what it moves, "all_reduce #812 of 4096 fp32 on dp", for calls that differ in nothing else.
std::string sized_call_words(const FlightCall& call, const std::string& group);

/// "5.1 s"
std::string seconds_words(double seconds);

/// A call, and who is in it or waits for it.
struct RanksInCall {
  FlightCall call;
  std::string group;
  std::vector<int> ranks;
};

/// "ranks 0-1, 3-7 wait in all_reduce #812 on dp; rank 2 waits in barrier #3 on world", the most ranks first. Calls of
/// several groups that are called alike are one.
std::string waiting_words(std::vector<RanksInCall> calls);

/// Why `rank` is late: "nothing heard of it for 5.1 s, last in training, last call all_reduce #811 on dp".
std::string late_words(const WatchedRank& rank, bool silent);

/// "rank 2 (node3) has not arrived: ", with the hosts of all of them.
std::string not_arrived_words(const std::vector<WatchedRank>& all, const std::vector<int>& ranks);

}  // namespace trireme::runtime
