// What the ranks ask each other in every step: two counts in the one number that train_step adds up over all of them.
#pragma once

#include <cstdint>

namespace trireme::launch {

/// Of one rank 0 or 1 each, or of all ranks added up.
struct StepVotes {
  /// More ranks than there will be; sums stay below 2^53, whole numbers of a double.
  static constexpr int64_t kUnit = int64_t{1} << 20;

  int64_t save_ready = 0;  ///< BackgroundSaver::vote
  int64_t stop = 0;        ///< wants to stop after this step

  int64_t packed() const { return stop * kUnit + save_ready; }
  static StepVotes unpacked(int64_t sum) { return {.save_ready = sum % kUnit, .stop = sum / kUnit}; }
  bool operator==(const StepVotes&) const = default;
};

}  // namespace trireme::launch
