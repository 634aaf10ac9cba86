#include "runtime/flight_words.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace trireme::runtime {
namespace {

constexpr size_t kMostRanges = 8;
constexpr size_t kMostCalls = 4;
constexpr size_t kMostHosts = 4;

}  // namespace

std::string rank_words(const std::vector<int>& ranks) {
  std::string text = ranks.size() == 1 ? "rank " : "ranks ";
  size_t said = 0;
  for (size_t ranges = 0; said < ranks.size() && ranges < kMostRanges; ++ranges) {
    const size_t first = said++;
    while (said < ranks.size() && ranks[said] == ranks[said - 1] + 1) ++said;
    if (ranges > 0) text += ", ";
    text += std::to_string(ranks[first]);
    if (said - first > 1) text += "-" + std::to_string(ranks[said - 1]);
  }
  if (said < ranks.size()) text += " and " + std::to_string(ranks.size() - said) + " more";
  return text;
}

std::string sized_call_words(const FlightCall& call, const std::string& group) {
  std::string text = call.op + " #" + std::to_string(call.position);
  if (call.elements > 0) text += " of " + std::to_string(call.elements) + " " + std::string(name(call.dtype));
  if (call.peer >= 0) text += (call.op == "send" ? " to rank " : " from rank ") + std::to_string(call.peer);
  return text + " on " + group;
}

std::string call_words(const FlightCall& call, const std::string& group) {
  FlightCall without_size = call;
  without_size.elements = 0;
  return sized_call_words(without_size, group);
}

std::string seconds_words(double seconds) {
  std::array<char, 32> text{};
  std::snprintf(text.data(), text.size(), seconds < 100 ? "%.1f s" : "%.0f s", seconds);
  return text.data();
}

std::string waiting_words(std::vector<RanksInCall> calls) {
  std::vector<RanksInCall> alike;
  for (RanksInCall& in : calls) {
    if (in.ranks.size() > 1) in.call.peer = -1;
    const auto same = std::ranges::find_if(alike, [&](const RanksInCall& other) {
      return other.group == in.group && other.call.op == in.call.op && other.call.position == in.call.position;
    });
    if (same == alike.end()) {
      alike.push_back(std::move(in));
      continue;
    }
    same->call.peer = -1;
    same->ranks.insert(same->ranks.end(), in.ranks.begin(), in.ranks.end());
  }
  for (RanksInCall& in : alike) std::ranges::sort(in.ranks);
  std::ranges::sort(alike, [](const RanksInCall& a, const RanksInCall& b) {
    return a.ranks.size() != b.ranks.size() ? a.ranks.size() > b.ranks.size() : a.ranks < b.ranks;
  });
  std::string text;
  for (size_t i = 0; i < alike.size() && i < kMostCalls; ++i) {
    if (i > 0) text += "; ";
    text += rank_words(alike[i].ranks) + (alike[i].ranks.size() == 1 ? " waits in " : " wait in ") +
            call_words(alike[i].call, alike[i].group);
  }
  if (alike.size() > kMostCalls) text += "; others in " + std::to_string(alike.size() - kMostCalls) + " more calls";
  return text;
}

std::string late_words(const WatchedRank& rank, bool silent) {
  std::string text;
  if (rank.gone) {
    text = "its connection ended " + seconds_words(rank.silent_seconds) + " ago, last in ";
  } else if (silent) {
    text = "nothing heard of it for " + seconds_words(rank.silent_seconds) + ", last in ";
  } else {
    text = "it has done nothing for " + seconds_words(rank.unmoved_seconds) + ", in ";
  }
  text += name(rank.flight.phase);
  if (!rank.flight.last) return text + ", no call yet";
  const FlightPlace& last = *rank.flight.last;
  text += ", last call " + call_words(last.call, rank.flight.groups[last.group].name);
  if (rank.flight.waits == rank.flight.last) return text + " (it waited in it)";
  return rank.flight.last_left ? text : text + " (not done)";
}

std::string not_arrived_words(const std::vector<WatchedRank>& all, const std::vector<int>& ranks) {
  std::vector<std::string> hosts;
  for (const int rank : ranks) {
    const std::string& host = all[static_cast<size_t>(rank)].host;
    if (std::ranges::find(hosts, host) == hosts.end()) hosts.push_back(host);
  }
  std::string text = rank_words(ranks) + " (";
  for (size_t i = 0; i < hosts.size() && i < kMostHosts; ++i) text += (i > 0 ? ", " : "") + hosts[i];
  if (hosts.size() > kMostHosts) text += " and " + std::to_string(hosts.size() - kMostHosts) + " more hosts";
  return text + (ranks.size() == 1 ? ") has not arrived: " : ") have not arrived: ");
}

}  // namespace trireme::runtime
