#include "runtime/flight_calls.h"

#include <algorithm>
#include <map>
#include <string>
#include <tuple>

namespace trireme::runtime {
namespace {

enum class Standing { missing, inside, done };

const GroupFlight* group_of(const RankFlight& flight, int id) {
  const auto found = std::ranges::find(flight.groups, id, &GroupFlight::id);
  return found == flight.groups.end() ? nullptr : &*found;
}

/// The other side's name for a message.
std::string counterpart(const std::string& op) {
  return op == "send" ? "recv" : "send";
}

/// How far a member is with the call that `waiting` waits in.
Standing standing(const RankFlight& member, int group_id, const FlightCall& call, int waiting) {
  const GroupFlight* group = group_of(member, group_id);
  if (group == nullptr) return Standing::missing;  // it has not made the group yet
  const bool collective = call.peer < 0;
  int64_t entered = group->entered;
  if (!collective) {
    const auto with = std::ranges::find(group->messages, waiting, &GroupFlight::Messages::peer);
    entered = with == group->messages.end() ? 0 : (call.op == "send" ? with->received : with->sent);
  }
  if (entered <= call.position) return Standing::missing;
  const bool inside = std::ranges::any_of(group->in_flight, [&](const FlightCall& other) {
    if (other.position != call.position) return false;
    return collective ? other.peer < 0 : other.peer == waiting && other.op == counterpart(call.op);
  });
  const bool more_in_flight = group->in_flight.size() == GroupFlight::kMostInFlight;
  return inside || more_in_flight ? Standing::inside : Standing::done;
}

void add_standings(const std::vector<WatchedRank>& ranks, WaitedCall& waited) {
  const auto look_at = [&](int member) {
    const RankFlight& flight = ranks[static_cast<size_t>(member)].flight;
    const Standing where = standing(flight, waited.group->id, waited.call, waited.waiting.front());
    if (where == Standing::missing) waited.missing.push_back(member);
    if (where == Standing::missing || std::ranges::binary_search(waited.waiting, member)) return;
    (flight.waits ? waited.elsewhere : waited.idle).push_back(member);
  };
  if (waited.call.peer >= 0) {
    look_at(waited.call.peer);
    return;
  }
  for (const int member : waited.group->world_ranks) look_at(member);
}

/// Groups of one split are told apart by their first member.
using GroupKey = std::pair<int, int>;
GroupKey key_of(const GroupFlight& group) {
  return {group.id, group.world_ranks.front()};
}

bool differs(const FlightCall& a, const FlightCall& b) {
  return a.op != b.op || a.elements != b.elements || a.dtype != b.dtype;
}

using Seen = DifferentCalls::Seen;

bool any_differs(const std::vector<Seen>& seen) {
  return std::ranges::any_of(seen, [&](const Seen& other) { return differs(other.call, seen.front().call); });
}

/// A message with other sizes on its two sides.
std::optional<DifferentCalls> different_sides(const std::vector<WatchedRank>& ranks, int rank,
                                              const GroupFlight& group) {
  for (const FlightCall& send : group.in_flight) {
    if (send.op != "send") continue;
    const GroupFlight* other = group_of(ranks[static_cast<size_t>(send.peer)].flight, group.id);
    if (other == nullptr) continue;
    for (const FlightCall& recv : other->in_flight) {
      if (recv.op != "recv" || recv.peer != rank || recv.position != send.position) continue;
      if (recv.elements != send.elements || recv.dtype != send.dtype) {
        return DifferentCalls{.group = &group, .seen = {{rank, send}, {send.peer, recv}}};
      }
    }
  }
  return std::nullopt;
}

}  // namespace

std::vector<WaitedCall> waited_calls(const std::vector<WatchedRank>& ranks) {
  // A message is a call of its own for each rank that waits for one.
  using Key = std::tuple<GroupKey, std::string, int64_t, int64_t, DType, int>;
  std::map<Key, WaitedCall> calls;
  for (size_t i = 0; i < ranks.size(); ++i) {
    const RankFlight& flight = ranks[i].flight;
    if (!ranks[i].watched || !flight.waits) continue;
    const GroupFlight& group = flight.groups[flight.waits->group];
    const FlightCall& call = flight.waits->call;
    const int rank = static_cast<int>(i);
    WaitedCall& waited =
        calls[{key_of(group), call.op, call.position, call.elements, call.dtype, call.peer >= 0 ? rank : -1}];
    waited.call = call;
    waited.group = &group;
    waited.waiting.push_back(rank);
  }
  std::vector<WaitedCall> all;
  for (auto& [key, waited] : calls) {
    add_standings(ranks, waited);
    all.push_back(std::move(waited));
  }
  return all;
}

std::optional<DifferentCalls> different_calls(const std::vector<WatchedRank>& ranks) {
  std::map<std::pair<GroupKey, int64_t>, DifferentCalls> collectives;
  for (size_t i = 0; i < ranks.size(); ++i) {
    const int rank = static_cast<int>(i);
    for (const GroupFlight& group : ranks[i].flight.groups) {
      if (auto sides = different_sides(ranks, rank, group)) return sides;
      for (const FlightCall& call : group.in_flight) {
        if (call.peer >= 0) continue;
        DifferentCalls& at = collectives[{key_of(group), call.position}];
        at.group = &group;
        at.seen.push_back({rank, call});
      }
    }
  }
  for (auto& [key, at] : collectives) {
    if (any_differs(at.seen)) return std::move(at);
  }
  return std::nullopt;
}

}  // namespace trireme::runtime
