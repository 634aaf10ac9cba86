// What people see of `trireme prepare` on standard error: one live line when it is a terminal, else a line every ten
// seconds. The text is a pure function.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "data/prepare_options.h"
#include "runtime/stopwatch.h"

namespace trireme::launch {

/// "writing tokens  42%  840 MB of 2 GB  61.2 MB/s  19s left". The rate is that of `recent_bytes`, read in the last
/// `seconds`; without any seconds it is left out.
std::string prepare_text(const data::PrepareProgress& progress, int64_t recent_bytes, double seconds);

class PrepareLine {
 public:
  /// `live` for a terminal (ProgressLine::on_terminal).
  explicit PrepareLine(bool live) : live_(live) {}
  /// Wipes the live line: the report comes in its place.
  ~PrepareLine();
  PrepareLine(const PrepareLine&) = delete;
  PrepareLine& operator=(const PrepareLine&) = delete;

  void show(const data::PrepareProgress& progress);

 private:
  bool live_;
  bool drawn_ = false;
  std::optional<data::PreparePhase> phase_;
  runtime::Stopwatch phase_watch_;  // since the first report of the phase,
  int64_t first_bytes_ = 0;         // which said so much: what a resumed run has skipped is no work of its own
  double last_line_seconds_ = 0;
};

}  // namespace trireme::launch
