// What the watchdog threads of rank 0 and of the others have in common: a round every so often, beats among them, what
// the training thread asks of it, and the end of the job. Nothing in a round waits.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "runtime/flight_recorder.h"
#include "runtime/watchdog.h"
#include "runtime/watchdog_socket.h"

namespace trireme::runtime {

/// A rank as its own watchdog knows it.
struct WatchdogPlace {
  int rank = 0;
  int size = 1;
  std::string host;
  const FlightRecorder& recorder;
};

/// What rank 0 tells the others through the communicator: where it listens, and what both sides say first, so that no
/// stranger is taken for one of them.
struct WatchdogInvitation {
  std::vector<std::string> addresses;
  int port = 0;
  std::string host;
  std::string question;
  std::string answer;
};

/// The words that lines begin with.
namespace watchdog_words {
inline constexpr std::string_view hello = "hello ";        ///< question, rank, host
inline constexpr std::string_view beat = "beat ";          ///< flight_json.h
inline constexpr std::string_view disagree = "disagree ";  ///< the message
inline constexpr std::string_view heard = "heard";         ///< rank 0's reply to a beat
inline constexpr std::string_view bye = "bye";             ///< silent from now on, in order
inline constexpr std::string_view end = "end";             ///< the job
}  // namespace watchdog_words

class WatchdogThread {
 public:
  using Clock = std::chrono::steady_clock;

  WatchdogThread(const WatchdogPlace& place, const WatchdogOptions& options);
  virtual ~WatchdogThread() = default;
  WatchdogThread(const WatchdogThread&) = delete;
  WatchdogThread& operator=(const WatchdogThread&) = delete;

  /// Says good-bye when `in_order`, and joins. To be called before the destruction of what was started.
  void stop(bool in_order);
  /// Returns when the thread has ended, or given up.
  void disagree(const std::string& message);

 protected:
  void start();

  /// What has come.
  virtual void attend(Clock::time_point now) = 0;
  virtual void beat(Clock::time_point now) = 0;
  /// "bye" to all who can hear.
  virtual void part() = 0;
  /// This process was stopped, or got no time, for so long: nobody else was silent.
  virtual void forgive(Clock::duration lost) = 0;
  /// The last words to others when a verdict is out; takes half a second at most.
  virtual void tell_end() = 0;

  /// There will be no verdict any more: nobody waits for one.
  void give_up();

  /// Says why, leaves the note, tells the others, and ends the process.
  [[noreturn]] void conclude(const WatchdogVerdict& verdict);

  /// The training thread's disagreement, once there is one.
  std::string disagreement() const;
  double limit_seconds() const { return options_.limit_seconds; }
  Clock::duration interval() const { return interval_; }
  const WatchdogPlace& place() const { return place_; }
  /// Rounds follow each other quickly while ranks connect.
  void set_connecting(bool connecting) { connecting_ = connecting; }

  static double seconds(Clock::duration duration) { return std::chrono::duration<double>(duration).count(); }

 private:
  void run();
  void rounds();
  void wait_for_next_round();

  WatchdogPlace place_;
  WatchdogOptions options_;
  Clock::duration interval_;
  std::atomic<bool> connecting_ = true;
  Descriptor wake_;
  mutable std::mutex mutex_;  ///< of what the training thread asks
  std::condition_variable ended_changed_;
  bool stop_ = false;
  bool in_order_ = false;
  bool ended_ = false;  ///< or given up
  std::string disagreement_;
  std::thread thread_;
};

}  // namespace trireme::runtime
