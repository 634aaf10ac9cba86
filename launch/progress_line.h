// What people see of a training run on standard error: one live line when it is a terminal, else a plain line for each
// logged step. It does not know how training works, only records; the texts are pure functions.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "launch/step_record.h"

namespace trireme::launch {

/// "step 120/2000  loss 2.4312  lr 0.0006  norm 0.81  12,345 tokens/s  3m 05s left", with "  skipped: not finite" when
/// so.
std::string plain_text(const StepRecord& record, int64_t steps, double seconds_left);

/// "[#####.....]  6% 120/2000  loss 2.4312  12,345 tokens/s  3m 05s left", cut to `columns`.
std::string live_text(const StepRecord& record, int64_t steps, double seconds_left, int columns);

/// "step 120/2000  validation loss 2.5011"
std::string validation_text(int64_t step, int64_t steps, double loss);

class ProgressLine {
 public:
  /// `steps` is the last step of this run. `live` for a terminal; on_terminal() finds out.
  ProgressLine(int64_t steps, bool live);
  /// Leaves the live line standing and ends it.
  ~ProgressLine();
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  static bool on_terminal();

  /// After every step: redraws the live line, ten times a second at most. `logged` steps get a plain line otherwise.
  void step(const StepRecord& record, bool logged);
  void validation(int64_t step, double loss);

 private:
  void write(const std::string& text) const;

  int64_t steps_;
  bool live_;
  bool drawn_ = false;
  double mean_step_seconds_ = 0;  ///< exponential mean; the first step, which is slow, counts like any other
  std::chrono::steady_clock::time_point last_drawn_{};
};

}  // namespace trireme::launch
