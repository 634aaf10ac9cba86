// The watchdog of a rank other than 0: tells rank 0 what this rank is at, and ends the process when rank 0 says so, or
// is not heard of any more while this rank waits.
#pragma once

#include <optional>

#include "runtime/watchdog_thread.h"

namespace trireme::runtime {

class WatchdogMember final : public WatchdogThread {
 public:
  /// `socket` has been answered by rank 0.
  WatchdogMember(const WatchdogPlace& place, const WatchdogOptions& options, LineSocket socket,
                 const std::string& leader_host);
  ~WatchdogMember() override { stop(false); }

  /// Nothing when rank 0 cannot be reached.
  static std::optional<LineSocket> connect(const WatchdogPlace& place, const WatchdogInvitation& invitation);

 private:
  void attend(Clock::time_point now) override;
  void beat(Clock::time_point now) override;
  void part() override { socket_.send(watchdog_words::bye); }
  void forgive(Clock::duration lost) override;
  void tell_end() override {}

  void judge_leader(const RankFlight& flight, Clock::time_point now);

  LineSocket socket_;
  std::string leader_host_;
  Clock::time_point heard_;  ///< rank 0
  Clock::time_point moved_;  ///< this rank
  int64_t count_ = 0;        ///< of this rank, at moved_
  RankFlight told_;
  bool disagreement_told_ = false;
  bool leader_has_left_ = false;
};

}  // namespace trireme::runtime
