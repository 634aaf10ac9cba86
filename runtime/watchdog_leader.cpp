#include "runtime/watchdog_leader.h"

#include <sys/resource.h>

#include <algorithm>
#include <charconv>
#include <random>

#include "runtime/error.h"
#include "runtime/flight_json.h"
#include "runtime/log.h"

namespace trireme::runtime {
namespace {

using namespace std::chrono_literals;

constexpr auto kStrangerPatience = 5s;
constexpr auto kLastWords = 500ms;
/// A rank that found a disagreement is believed after so many beats: the others have then said what they are in.
constexpr int kDisagreementBeats = 3;

std::string random_word() {
  std::random_device device;
  std::string word;
  for (int i = 0; i < 16; ++i) word += static_cast<char>('a' + device() % 26);
  return word;
}

/// Each rank may try several addresses at a time.
void allow_descriptors(int ranks) {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = std::min<rlim_t>(limit.rlim_max, 8 * static_cast<rlim_t>(ranks) + 1024);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  setrlimit(RLIMIT_NOFILE, &limit);
}

/// The rest of a line that begins with that word.
std::optional<std::string_view> after(std::string_view line, std::string_view word) {
  if (!line.starts_with(word)) return std::nullopt;
  return line.substr(word.size());
}

}  // namespace

WatchdogLeader::WatchdogLeader(const WatchdogPlace& place, const WatchdogOptions& options)
    : WatchdogThread(place, options), ranks_(static_cast<size_t>(place.size)), times_(static_cast<size_t>(place.size)) {
  allow_descriptors(place.size);
  invitation_ = {.addresses = own_addresses(),
                 .port = listener_.port(),
                 .host = place.host,
                 .question = random_word(),
                 .answer = random_word()};
  ranks_.front().host = place.host;
  start();
}

void WatchdogLeader::watch(const std::vector<bool>& unreached) {
  std::lock_guard lock(watch_mutex_);
  unreached_ = unreached;
  told_to_watch_ = true;
}

void WatchdogLeader::attend(Clock::time_point now) {
  for (LineSocket& socket : listener_.accept()) {
    peers_.push_back(std::make_unique<Peer>(Peer{.socket = std::move(socket), .since = now}));
  }
  for (const auto& peer : peers_) {
    for (const std::string& line : peer->socket.receive()) read(*peer, line, now);
    peer->socket.flush();
    if (peer->rank < 0 && now - peer->since > kStrangerPatience) peer->socket.close();
    if (peer->socket.open() || peer->rank < 0) continue;
    const auto rank = static_cast<size_t>(peer->rank);
    if (times_[rank].peer != peer.get()) continue;  // one of several that the rank tried
    times_[rank].peer = nullptr;
    ranks_[rank].gone = ranks_[rank].watched;
  }
  std::erase_if(peers_, [](const auto& peer) { return !peer->socket.open(); });
}

void WatchdogLeader::read(Peer& peer, const std::string& line, Clock::time_point now) {
  if (peer.refused) return;  // a closed one may have said something before
  const auto refuse = [&peer] {
    peer.refused = true;
    peer.socket.close();
  };
  try {
    if (peer.rank < 0) {
      const auto words = after(line, watchdog_words::hello);
      if (!words || !greet(peer, *words)) refuse();
      return;
    }
    const auto rank = static_cast<size_t>(peer.rank);
    if (const auto beat = after(line, watchdog_words::beat)) {
      times_[rank].peer = &peer;
      RankFlight flight = ranks_[rank].flight;
      read_flight_line(*beat, place().size, flight);
      hear(peer.rank, std::move(flight), now);
      if (peer.socket.sent()) peer.socket.send(watchdog_words::heard);
    } else if (const auto message = after(line, watchdog_words::disagree)) {
      hear_disagreement(peer.rank, std::string(*message), now);
    } else if (line == watchdog_words::bye) {
      ranks_[rank].watched = false;
    }
  } catch (const Error& error) {
    log_warning("watchdog: rank " + std::to_string(peer.rank) + ": " + error.what());
    refuse();
  }
}

/// "question rank host"
bool WatchdogLeader::greet(Peer& peer, std::string_view words) {
  const auto rest = after(words, invitation_.question + " ");
  if (!rest) return false;
  int rank = -1;
  const auto [end, error] = std::from_chars(rest->data(), rest->data() + rest->size(), rank);
  if (error != std::errc() || rank <= 0 || rank >= place().size || end == rest->data() + rest->size()) return false;
  peer.rank = rank;
  ranks_[static_cast<size_t>(rank)].host = std::string(end + 1, rest->data() + rest->size());
  peer.socket.send(invitation_.answer);
  return true;
}

void WatchdogLeader::hear(int rank, RankFlight flight, Clock::time_point now) {
  WatchedRank& known = ranks_[static_cast<size_t>(rank)];
  Times& times = times_[static_cast<size_t>(rank)];
  times.heard = now;
  if (flight.count != known.flight.count) times.moved = now;
  known.flight = std::move(flight);
}

void WatchdogLeader::hear_disagreement(int rank, const std::string& message, Clock::time_point now) {
  Times& times = times_[static_cast<size_t>(rank)];
  if (!times.disagreement.empty() || message.empty()) return;
  times.disagreement = message;
  times.disagreed = now;
}

void WatchdogLeader::beat(Clock::time_point now) {
  hear(0, place().recorder.flight(), now);
  hear_disagreement(0, disagreement(), now);
  if (!watching_) {
    std::lock_guard lock(watch_mutex_);
    if (!told_to_watch_) return;
    watching_ = true;
    set_connecting(false);
    for (size_t i = 0; i < ranks_.size(); ++i) {
      if (unreached_[i]) ranks_[i].watched = false;
      times_[i].heard = times_[i].moved = now;
    }
  }
  for (size_t i = 0; i < ranks_.size(); ++i) {
    ranks_[i].silent_seconds = seconds(now - times_[i].heard);
    ranks_[i].unmoved_seconds = seconds(times_[i].heard - times_[i].moved);
    const bool believed = now - times_[i].disagreed >= kDisagreementBeats * interval();
    if (believed) ranks_[i].disagreement = times_[i].disagreement;
  }
  warn_of_lost();
  if (const auto verdict = judge(ranks_, limit_seconds())) conclude(*verdict);
}

/// Training goes on without it being watched; not at once, since a launcher may be ending the job.
void WatchdogLeader::warn_of_lost() {
  for (size_t i = 0; i < ranks_.size(); ++i) {
    if (!ranks_[i].gone || times_[i].missed || ranks_[i].silent_seconds < limit_seconds() / 2) continue;
    times_[i].missed = true;
    log_warning("rank " + std::to_string(i) + " (" + ranks_[i].host +
                ") has lost its connection to the watchdog of rank 0");
  }
}

void WatchdogLeader::say_to_all(std::string_view line) {
  for (const auto& peer : peers_) {
    if (peer->rank >= 0) peer->socket.send(line);
  }
}

void WatchdogLeader::part() {
  say_to_all(watchdog_words::bye);
}

void WatchdogLeader::forgive(Clock::duration lost) {
  for (Times& times : times_) {
    times.heard += lost;
    times.moved += lost;
  }
}

void WatchdogLeader::tell_end() {
  say_to_all(watchdog_words::end);
  const Clock::time_point end = Clock::now() + kLastWords;
  const auto heard = [](const auto& peer) { return !peer->socket.open(); };  // who was told has ended
  while (Clock::now() < end && !std::ranges::all_of(peers_, heard)) {
    for (const auto& peer : peers_) {
      peer->socket.flush();
      peer->socket.receive();
    }
    std::this_thread::sleep_for(5ms);
  }
}

}  // namespace trireme::runtime
