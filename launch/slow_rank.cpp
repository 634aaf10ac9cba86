#include "launch/slow_rank.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "launch/number_text.h"

namespace trireme::launch {
namespace {

constexpr double kSlow = 1.25;        // among ranks of a stage, which do the same
constexpr double kSlowByFlops = 1.5;  // among all: stages differ in their ops, and ops in their flop/s
constexpr int kIntervals = 3;

/// Of values in order.
double median(std::span<const double> sorted) {
  const size_t middle = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

/// For each of `values` the median of the others, of which there is one at least.
std::vector<double> medians_of_others(std::span<const double> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) { return values[i]; });
  std::vector<double> sorted;
  for (const size_t i : order) sorted.push_back(values[i]);
  std::vector<double> others(values.size());
  const size_t count = values.size() - 1;
  for (size_t place = 0; place < order.size(); ++place) {
    const auto at = [&](size_t i) { return sorted[i < place ? i : i + 1]; };
    others[order[place]] = count % 2 == 1 ? at(count / 2) : (at(count / 2 - 1) + at(count / 2)) / 2;
  }
  return others;
}

/// Raises the slowness of those `members` that are slow among each other, by their time for a unit of `work`.
void compare(std::span<const BusyTimes> ranks, std::span<const size_t> members, bool per_flop, double bar,
             std::vector<double>& slowness) {
  if (members.size() < 2) return;
  const auto unit = [&](size_t rank) { return per_flop ? ranks[rank].flops : 1; };
  std::vector<double> times;
  for (const size_t rank : members) times.push_back(ranks[rank].seconds / unit(rank));
  const std::vector<double> others = medians_of_others(times);
  for (size_t i = 0; i < members.size(); ++i) {
    const size_t rank = members[i];
    if (others[i] <= 0 || ranks[rank].low_seconds / unit(rank) < bar * others[i]) continue;
    slowness[rank] = std::max(slowness[rank], times[i] / others[i]);
  }
}

}  // namespace

std::vector<double> slowness(std::span<const BusyTimes> ranks) {
  std::vector<double> slowness(ranks.size(), 1);
  std::map<double, std::vector<size_t>> stages;
  std::vector<size_t> all;
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    stages[ranks[rank].stage].push_back(rank);
    all.push_back(rank);
  }
  for (const auto& [stage, members] : stages) compare(ranks, members, false, kSlow, slowness);
  const bool all_compute = std::ranges::all_of(ranks, [](const BusyTimes& times) { return times.flops > 0; });
  if (all_compute) compare(ranks, all, true, kSlowByFlops, slowness);
  return slowness;
}

SlowRanks::SlowRanks(std::vector<std::string> hosts) : hosts_(std::move(hosts)), streaks_(hosts_.size(), 0) {}

std::string SlowRanks::who(int rank) const {
  return "rank " + std::to_string(rank) + " (" + hosts_[static_cast<size_t>(rank)] + ")";
}

BusyVerdict SlowRanks::judge(std::span<const BusyTimes> ranks) {
  std::vector<double> seconds;
  for (const BusyTimes& times : ranks) seconds.push_back(times.seconds);
  const auto busiest = std::ranges::max_element(seconds);
  BusyVerdict verdict{.busiest_rank = static_cast<int>(busiest - seconds.begin()), .busy_seconds = *busiest};
  std::ranges::sort(seconds);
  verdict.busy_seconds_median = median(seconds);
  verdict.busy_seconds_least = seconds.front();

  const std::vector<double> by = slowness(ranks);
  for (size_t rank = 0; rank < by.size(); ++rank) {
    int& streak = streaks_[rank];
    streak = by[rank] > 1 ? std::max(streak, 0) + 1 : std::min(streak, 0) - 1;
  }
  if (named_ && streaks_[static_cast<size_t>(named_->rank)] <= -kIntervals) {
    verdict.ended = who(named_->rank) + " is no longer slow";
    named_.reset();
  }
  if (named_) {
    const double now = by[static_cast<size_t>(named_->rank)];
    if (now > 1) named_->by = now;
  } else {
    for (size_t rank = 0; rank < by.size(); ++rank) {
      if (streaks_[rank] < kIntervals || (named_ && by[rank] <= named_->by)) continue;
      named_ = {.rank = static_cast<int>(rank), .by = by[rank]};
    }
    if (named_)
      verdict.named = who(named_->rank) + " is slow: " + fixed_text(named_->by, 1) + " x the others' time a step";
  }
  verdict.slow = named_;
  return verdict;
}

}  // namespace trireme::launch
