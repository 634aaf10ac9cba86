// Rank 0's watchdog: hears all ranks, itself among them, and judges.
#pragma once

#include <memory>
#include <vector>

#include "runtime/flight_verdict.h"
#include "runtime/watchdog_thread.h"

namespace trireme::runtime {

class WatchdogLeader final : public WatchdogThread {
 public:
  /// Listens from now on. Throws Error(io) where it cannot.
  WatchdogLeader(const WatchdogPlace& place, const WatchdogOptions& options);
  ~WatchdogLeader() override { stop(false); }

  WatchdogInvitation invitation() const { return invitation_; }
  /// All have connected that can; `unreached`, of each rank, is true of those that cannot.
  void watch(const std::vector<bool>& unreached);

 private:
  struct Peer {
    LineSocket socket;
    Clock::time_point since;
    int rank = -1;  ///< -1: it has not said hello yet
    bool refused = false;
  };
  struct Times {
    Clock::time_point heard;
    Clock::time_point moved;
    Clock::time_point disagreed;  ///< when `disagreement` came
    std::string disagreement;
    Peer* peer = nullptr;  ///< of a rank that has sent a beat
    bool missed = false;   ///< that its connection is lost has been said
  };

  void attend(Clock::time_point now) override;
  void beat(Clock::time_point now) override;
  void part() override;
  void forgive(Clock::duration lost) override;
  void tell_end() override;

  void read(Peer& peer, const std::string& line, Clock::time_point now);
  bool greet(Peer& peer, std::string_view words);
  void hear(int rank, RankFlight flight, Clock::time_point now);
  void warn_of_lost();
  void hear_disagreement(int rank, const std::string& message, Clock::time_point now);
  void say_to_all(std::string_view line);

  LineListener listener_;
  WatchdogInvitation invitation_;
  std::vector<std::unique_ptr<Peer>> peers_;
  std::vector<WatchedRank> ranks_;
  std::vector<Times> times_;  ///< of each rank
  std::mutex watch_mutex_;    ///< of what watch() says
  std::vector<bool> unreached_;
  bool told_to_watch_ = false;
  bool watching_ = false;  ///< the thread's own
};

}  // namespace trireme::runtime
