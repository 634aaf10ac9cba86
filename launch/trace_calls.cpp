#include "launch/trace_calls.h"

#include <algorithm>
#include <span>
#include <tuple>

namespace trireme::launch {
namespace {

struct Place {
  size_t rank = 0;
  size_t index = 0;  ///< among the rank's entries
};

auto call_of(const CallEntry& entry) {
  return std::tuple(entry.group, entry.first_member, entry.position);
}

}  // namespace

std::vector<std::vector<LastEntrant>> last_entrants(const std::vector<std::vector<CallEntry>>& of_ranks) {
  std::vector<std::vector<LastEntrant>> last(of_ranks.size());
  std::vector<Place> places;
  for (size_t rank = 0; rank < of_ranks.size(); ++rank) {
    last[rank].resize(of_ranks[rank].size());
    for (size_t index = 0; index < of_ranks[rank].size(); ++index) places.push_back({rank, index});
  }
  const auto entry_at = [&](const Place& place) -> const CallEntry& { return of_ranks[place.rank][place.index]; };
  std::ranges::stable_sort(places, {}, [&](const Place& place) {
    return std::tuple_cat(call_of(entry_at(place)), std::tuple(entry_at(place).entered));
  });
  for (size_t begin = 0; begin < places.size();) {
    const CallEntry& call = entry_at(places[begin]);
    size_t end = begin + 1;
    while (end < places.size() && call_of(entry_at(places[end])) == call_of(call)) ++end;
    const std::span<const Place> members = std::span(places).subspan(begin, end - begin);
    begin = end;
    if (static_cast<int64_t>(members.size()) < std::max<int64_t>(call.members, 2)) continue;
    const CallEntry& latest = entry_at(members.back());
    const LastEntrant entrant{.rank = static_cast<int64_t>(members.back().rank),
                              .entered = latest.entered,
                              .by = latest.entered - entry_at(members[members.size() - 2]).entered};
    for (const Place& member : members) last[member.rank][member.index] = entrant;
  }
  return last;
}

}  // namespace trireme::launch
