// Which rank holds the others up, judged by how long each was busy in its steps: a step's time less what the rank
// waited in for messages. Pure functions of numbers that the ranks gave each other (busy_watch.h): it knows no clocks.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace trireme::launch {

/// A rank in the steps of one interval. Doubles alone: ranks send it to each other as it is.
struct BusyTimes {
  double seconds = 0;       ///< busy in a step, the median of the interval's
  double low_seconds = 0;   ///< the lower quartile: a busy neighbour for some of the steps does not raise it
  double flops = 0;         ///< of a step, by the costs that ops state
  double stage = 0;         ///< of the pipeline: its ranks do the same work
  double step_seconds = 0;  ///< the mean of its steps, waiting included
};

struct SlowRank {
  int rank = 0;
  double by = 1;  ///< so many times as long busy as the others, when it was last slow
};

struct BusyVerdict {
  int busiest_rank = 0;
  double busy_seconds = 0;         ///< of that rank, in a step
  double busy_seconds_median = 0;  ///< of all ranks
  double busy_seconds_least = 0;
  std::optional<SlowRank> slow;  ///< the rank that is named, for as long as it is
  std::string named;             ///< where it is new, a line: "rank 3 (node2) is slow: 1.8 x the others' time a step"
  std::string ended;             ///< likewise: "rank 3 (node2) is no longer slow"
};

/// How many times the others' time each rank takes where it is slow in this interval, else 1. It is slow where even its
/// low_seconds are 1.25 times the median of the other ranks of its stage; or, by time per flop, 1.5 times that of all
/// others, since ranks that do different ops differ in speed by right.
std::vector<double> slowness(std::span<const BusyTimes> ranks);

/// Interval after interval. A rank is named that is slow in three of them in a row, the slowest if there are several,
/// until it is not in three in a row: noise comes and goes, a throttled processor stays.
class SlowRanks {
 public:
  /// Of each rank.
  explicit SlowRanks(std::vector<std::string> hosts);

  BusyVerdict judge(std::span<const BusyTimes> ranks);

 private:
  std::string who(int rank) const;

  std::vector<std::string> hosts_;
  std::vector<int> streaks_;  ///< of each rank: slow in so many intervals in a row; below 0: not slow in so many
  std::optional<SlowRank> named_;
};

}  // namespace trireme::launch
