#include "runtime/watchdog_member.h"

#include <unistd.h>

#include "runtime/flight_json.h"
#include "runtime/flight_words.h"

namespace trireme::runtime {
namespace {

using namespace std::chrono_literals;

constexpr auto kConnectPatience = 3s;
/// Rank 0 has so many beats more before it is accused: of two sides that lost each other it knows more.
constexpr int kSpareBeats = 4;

}  // namespace

std::optional<LineSocket> WatchdogMember::connect(const WatchdogPlace& place, const WatchdogInvitation& invitation) {
  const std::string hello =
      std::string(watchdog_words::hello) + invitation.question + " " + std::to_string(place.rank) + " " + place.host;
  return connect_to_any(invitation.addresses, invitation.port, hello, invitation.answer, kConnectPatience);
}

WatchdogMember::WatchdogMember(const WatchdogPlace& place, const WatchdogOptions& options, LineSocket socket,
                               const std::string& leader_host)
    : WatchdogThread(place, options), socket_(std::move(socket)), leader_host_(leader_host) {
  heard_ = moved_ = Clock::now();
  set_connecting(false);
  start();
}

void WatchdogMember::attend(Clock::time_point now) {
  socket_.flush();
  for (const std::string& line : socket_.receive()) {
    heard_ = now;
    if (line == watchdog_words::end) _exit(kWatchdogExit);  // rank 0 has said why
    if (line != watchdog_words::bye) continue;
    leader_has_left_ = true;
    give_up();
  }
}

void WatchdogMember::beat(Clock::time_point now) {
  const RankFlight flight = place().recorder.flight();
  if (flight.count != count_) moved_ = now;
  count_ = flight.count;
  if (socket_.sent()) {  // else rank 0 reads nothing: it need not hear of every beat
    socket_.send(std::string(watchdog_words::beat) + flight_line(flight, told_));
    told_ = flight;
    const std::string message = disagreement();
    if (!message.empty() && !disagreement_told_) {
      socket_.send(std::string(watchdog_words::disagree) + message);
      disagreement_told_ = true;
    }
  }
  judge_leader(flight, now);
}

/// As flight_verdict.h of a silent rank: only while this rank waits, and has done so for a while.
void WatchdogMember::judge_leader(const RankFlight& flight, Clock::time_point now) {
  const std::string message = disagreement();
  const double silent_seconds = seconds(now - heard_);
  if (leader_has_left_ || silent_seconds < limit_seconds() + seconds(kSpareBeats * interval())) return;
  const bool stuck = flight.waits && seconds(now - moved_) >= limit_seconds() / 2;
  if (!stuck && message.empty()) return;
  std::string reason = "rank 0 (" + leader_host_ + ") has not arrived: nothing heard of it for " +
                       seconds_words(silent_seconds) + (socket_.open() ? "" : ", its connection was closed") +
                       "; rank " + std::to_string(place().rank) + " (" + place().host + ") ";
  if (flight.waits) {
    reason += "waits in " + call_words(flight.waits->call, flight.groups[flight.waits->group].name);
  } else {
    reason += "found: " + message;
  }
  conclude({.ranks = {0}, .reason = reason});
}

void WatchdogMember::forgive(Clock::duration lost) {
  heard_ += lost;
  moved_ += lost;
}

}  // namespace trireme::runtime
