// What is decided when a run is to stop, from plain facts: how many saves lie between the step and the end, whose wish
// it is, and what is said. Knows no clock (time_limit.h), no rank but by its place in a list, and saves nothing.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>

namespace trireme::launch {

/// What has been saved of a run.
struct SavedSteps {
  int64_t newest = 0;                ///< 0: none
  std::optional<int64_t> in_flight;  ///< is waited for at a stop
};

/// That a stop at the end of `step` waits for.
int saves_before_stop(int64_t step, const SavedSteps& saved);

/// "SIGUSR1" of all ranks, "SIGTERM on rank 3" of some: of each the name of the signal that it noted, or "". `limit`:
/// what the time limit says, where no rank noted any.
std::string stop_reason(std::span<const std::string> signals, const std::string& limit);

/// At the end of a step, with no save in flight any more.
struct StopPlan {
  int64_t step = 0;
  int64_t newest_saved = 0;  ///< 0: none
  bool may_save = true;      ///< there is time for it
  bool validates = false;    ///< the step was due for a validation, which is left to the next start
  bool rolls_back = false;   ///< so is a rollback
  bool by_signal = true;     ///< it is one that asks for the stop, and not a time limit

  bool is_saved() const { return newest_saved == step; }
  bool saves() const { return may_save && !is_saved(); }
  /// What is lost, as "step 7 is not saved; the newest checkpoint is step 4"; "" when nothing is.
  std::string loss_text() const;
  /// "saving step 7 and ending, to be started again (exit 75); the same signal again ends at once", the end for signals
  std::string text() const;
};

}  // namespace trireme::launch
