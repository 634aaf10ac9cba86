#include "runtime/flight_verdict.h"

#include <algorithm>
#include <iterator>
#include <limits>
#include <set>

#include "runtime/flight_calls.h"
#include "runtime/flight_words.h"

namespace trireme::runtime {
namespace {

constexpr double kFilePhases = 10;  ///< phases that work on files have so many times the limit
constexpr size_t kMostDetailed = 3;
/// Ranks of one host are lost together, but not heard of last at the same moment: who is silent for nearly the limit is
/// named with those who are.
constexpr double kNearlyLate = 0.8;
/// Those who wait for a silent rank have not moved for this part of the limit. Without it a rank would be accused
/// whose connection to its watcher is broken while it trains on.
constexpr double kStuckShare = 0.5;

/// Other ranks say soon after the limit that rank 0 is late (watchdog_member.cpp).
constexpr double kCutOffShare = 1.5;

bool works_on_files(Phase phase) {
  return phase == Phase::starting || phase == Phase::loading || phase == Phase::saving;
}

class Judge {
 public:
  Judge(const std::vector<WatchedRank>& ranks, double limit_seconds)
      : ranks_(ranks), limit_(limit_seconds), calls_(waited_calls(ranks)) {}

  std::optional<WatchdogVerdict> verdict() const {
    for (const WatchedRank& rank : ranks_) {
      if (!rank.disagreement.empty()) return disagreement(rank.disagreement);
    }
    if (auto silent = silent_ranks()) return silent;
    if (auto late = late_ranks(&WaitedCall::missing)) return late;
    if (auto late = late_ranks(&WaitedCall::idle)) return late;
    return deadlock();
  }

 private:
  const WatchedRank& rank(int index) const { return ranks_[static_cast<size_t>(index)]; }

  bool is_silent(const WatchedRank& rank, double share) const {
    return rank.watched && rank.silent_seconds >= share * limit_;
  }

  /// It waits for nothing, and could have gone on. Of who is silent nothing is known.
  bool is_late(const WatchedRank& rank) const {
    const double limit = limit_ * (works_on_files(rank.flight.phase) ? kFilePhases : 1);
    return rank.watched && !rank.flight.waits && !is_silent(rank, 1) && rank.unmoved_seconds >= limit;
  }

  std::optional<WatchdogVerdict> silent_ranks() const {
    if (std::ranges::none_of(ranks_, [&](const WatchedRank& rank) { return is_silent(rank, 1); })) return std::nullopt;
    if (std::ranges::none_of(calls_, [&](const WaitedCall& call) { return waits_for_silent(call); })) {
      return std::nullopt;
    }
    std::vector<int> silent;
    for (size_t i = 0; i < ranks_.size(); ++i) {
      if (is_silent(ranks_[i], kNearlyLate)) silent.push_back(static_cast<int>(i));
    }
    if (hears_nobody(silent)) return cut_off();
    return accuse(silent, true);
  }

  /// Somebody is stuck in the call, which needs a silent rank, and no rank that is heard and could still come.
  bool waits_for_silent(const WaitedCall& call) const {
    bool stuck = false;
    bool silent = false;
    for (const int waiting : call.waiting) {
      const bool heard = !is_silent(rank(waiting), kNearlyLate);
      stuck = stuck || (heard && rank(waiting).unmoved_seconds >= kStuckShare * limit_);
      silent = silent || !heard;  // it waited when it was last heard of
    }
    for (const std::vector<int>* needed : {&call.missing, &call.idle}) {
      for (const int member : *needed) {
        if (!is_silent(rank(member), kNearlyLate)) {
          if (!rank(member).flight.waits) return false;
        } else {
          silent = true;
        }
      }
    }
    return stuck && silent;
  }

  /// Several hosts, and not a word from any but that of rank 0, whose view this is.
  bool hears_nobody(const std::vector<int>& silent) const {
    std::set<std::string> hosts;
    for (const int member : silent) hosts.insert(rank(member).host);
    if (hosts.size() < 2 || hosts.contains(ranks_.front().host)) return false;
    return std::ranges::all_of(ranks_, [&](const WatchedRank& rank) {
      return !rank.watched || is_silent(rank, kNearlyLate) || rank.host == ranks_.front().host;
    });
  }

  /// The others, who have lost rank 0, judge first.
  std::optional<WatchdogVerdict> cut_off() const {
    double heard_seconds = std::numeric_limits<double>::infinity();  // since the last word of any of them
    for (const WatchedRank& rank : ranks_) {
      if (is_silent(rank, kNearlyLate)) heard_seconds = std::min(heard_seconds, rank.silent_seconds);
    }
    if (heard_seconds < kCutOffShare * limit_) return std::nullopt;
    return WatchdogVerdict{.ranks = {0},
                           .reason = "rank 0 (" + ranks_.front().host +
                                     ") is cut off: nothing heard of any other host for " +
                                     seconds_words(heard_seconds)};
  }

  std::optional<WatchdogVerdict> late_ranks(std::vector<int> WaitedCall::*needed) const {
    std::set<int> late;
    for (const WaitedCall& call : calls_) {
      for (const int member : call.*needed) {
        if (is_late(rank(member))) late.insert(member);
      }
    }
    if (late.empty()) return std::nullopt;
    return accuse({late.begin(), late.end()}, false);
  }

  WatchdogVerdict accuse(const std::vector<int>& late, bool silent) const {
    std::string reason = not_arrived_words(ranks_, late);
    for (size_t i = 0; i < late.size() && i < kMostDetailed; ++i) {
      if (i > 0) reason += "; ";
      if (late.size() > 1) reason += "rank " + std::to_string(late[i]) + ": ";
      reason += late_words(rank(late[i]), silent);
    }
    std::vector<RanksInCall> waiting;
    for (const WaitedCall& call : calls_) {
      RanksInCall in{.call = call.call, .group = call.group->name};
      std::ranges::set_difference(call.waiting, late, std::back_inserter(in.ranks));
      if (!in.ranks.empty()) waiting.push_back(std::move(in));
    }
    return {.ranks = late, .reason = reason + "; " + waiting_words(std::move(waiting))};
  }

  /// Calls that can never end: from each of them, by those that it needs and what they wait for, nobody is reached who
  /// could go on. Who came last and went on into the next call has not been waiting there for long.
  std::vector<const WaitedCall*> dead_calls() const {
    std::vector<bool> can_go_on(ranks_.size());
    for (size_t i = 0; i < ranks_.size(); ++i) {
      const WatchedRank& rank = ranks_[i];
      const bool stuck = rank.watched && !is_silent(rank, 1) && rank.flight.waits && rank.unmoved_seconds >= limit_;
      can_go_on[i] = !stuck;
    }
    const auto any_can = [&](const std::vector<int>& members) {
      return std::ranges::any_of(members, [&](int member) { return can_go_on[static_cast<size_t>(member)]; });
    };
    std::vector<const WaitedCall*> dead;
    for (const WaitedCall& call : calls_) dead.push_back(&call);
    for (size_t before = dead.size() + 1; before > dead.size();) {
      before = dead.size();
      std::erase_if(dead, [&](const WaitedCall* call) {
        if (!any_can(call->waiting) && !any_can(call->missing) && !any_can(call->idle) && !any_can(call->elsewhere)) {
          return false;
        }
        for (const int waiting : call->waiting) can_go_on[static_cast<size_t>(waiting)] = true;
        return true;
      });
    }
    return dead;
  }

  std::optional<WatchdogVerdict> deadlock() const {
    const std::vector<const WaitedCall*> dead = dead_calls();
    if (dead.empty()) return std::nullopt;
    if (const auto different = different_calls(ranks_)) return name_minority(*different);
    for (const WaitedCall* call : dead) {
      if (call->missing.empty()) return lost_messages(*call);
    }
    std::vector<RanksInCall> waiting;
    for (const WaitedCall* call : dead) waiting.push_back({call->call, call->group->name, call->waiting});
    const std::vector<int> accused = fewest_missing(dead);
    std::string reason = accused.empty() ? "ranks are in different calls: "
                                         : rank_words(accused) + (accused.size() == 1 ? " is" : " are") +
                                               " in another call than the others: ";
    return WatchdogVerdict{.ranks = accused, .reason = reason + waiting_words(std::move(waiting))};
  }

  /// Of calls that wait for each other's ranks the one that lacks the smallest part of its group is right, if that is
  /// less than half: who is missing there left the common path.
  static std::vector<int> fewest_missing(const std::vector<const WaitedCall*>& calls) {
    const WaitedCall* right = nullptr;
    double least = 0.5;
    for (const WaitedCall* call : calls) {
      const double members = call->call.peer >= 0 ? 2 : static_cast<double>(call->group->world_ranks.size());
      const double share = static_cast<double>(call->missing.size()) / members;
      if (share > least || (share == least && right == nullptr)) continue;
      right = share == least ? nullptr : call;  // two that are equally right tell nothing
      least = share;
    }
    return right == nullptr ? std::vector<int>{} : right->missing;
  }

  WatchdogVerdict lost_messages(const WaitedCall& call) const {
    double unmoved_seconds = rank(call.waiting.front()).unmoved_seconds;
    for (const int waiting : call.waiting) unmoved_seconds = std::min(unmoved_seconds, rank(waiting).unmoved_seconds);
    std::vector<int> between = call.waiting;
    if (call.call.peer >= 0) between.push_back(call.call.peer);
    std::ranges::sort(between);
    return {.reason = "messages are lost between " + rank_words(between) + ": all have entered " +
                      call_words(call.call, call.group->name) + ", and nothing has moved for " +
                      seconds_words(unmoved_seconds)};
  }

  WatchdogVerdict disagreement(const std::string& message) const {
    if (const auto different = different_calls(ranks_)) return name_minority(*different);
    return {.reason = message};
  }

  WatchdogVerdict name_minority(const DifferentCalls& different) const {
    std::vector<RanksInCall> calls;
    for (const auto& [rank, call] : different.seen) {
      const auto same = std::ranges::find_if(calls, [&call = call](const RanksInCall& in) { return in.call == call; });
      if (same == calls.end()) {
        calls.push_back({call, different.group->name, {rank}});
      } else {
        same->ranks.push_back(rank);
      }
    }
    std::ranges::stable_sort(calls, std::ranges::greater(), [](const RanksInCall& in) { return in.ranks.size(); });
    const auto said = [&](const RanksInCall& in) {
      return rank_words(in.ranks) + hosts_of_one(in.ranks) + (in.ranks.size() == 1 ? " is in " : " are in ") +
             sized_call_words(in.call, in.group);
    };
    WatchdogVerdict verdict;
    if (2 * calls.front().ranks.size() <= different.seen.size()) {  // no majority
      verdict.reason = "ranks are in different calls: ";
      for (size_t i = 0; i < calls.size() && i < kMostDetailed; ++i)
        verdict.reason += (i > 0 ? "; " : "") + said(calls[i]);
      return verdict;
    }
    for (size_t i = 1; i < calls.size(); ++i) {
      if (i <= kMostDetailed) verdict.reason += said(calls[i]) + ", ";
      verdict.ranks.insert(verdict.ranks.end(), calls[i].ranks.begin(), calls[i].ranks.end());
    }
    std::ranges::sort(verdict.ranks);
    verdict.reason += "where " + said(calls.front());
    return verdict;
  }

  std::string hosts_of_one(const std::vector<int>& ranks) const {
    return ranks.size() == 1 ? " (" + rank(ranks.front()).host + ")" : "";
  }

  const std::vector<WatchedRank>& ranks_;
  double limit_;
  std::vector<WaitedCall> calls_;
};

}  // namespace

std::optional<WatchdogVerdict> judge(const std::vector<WatchedRank>& ranks, double limit_seconds) {
  return Judge(ranks, limit_seconds).verdict();
}

}  // namespace trireme::runtime
