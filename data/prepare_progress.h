// Tells how far a pass of `prepare` is, a few times a second.
#pragma once

#include <chrono>
#include <cstdint>
#include <span>

#include "data/prepare_options.h"

namespace trireme::data {

class ProgressTimer {
 public:
  ProgressTimer(const std::function<void(const PrepareProgress&)>& progress, PreparePhase phase,
                std::span<const TextFile> texts)
      : progress_(progress) {
    now_.phase = phase;
    for (const TextFile& text : texts) now_.total_bytes += text.size_bytes;
  }

  void report(int64_t bytes, int64_t documents) {
    now_.bytes = bytes;
    now_.documents = documents;
    const auto time = std::chrono::steady_clock::now();
    if (!progress_ || time - last_ < std::chrono::milliseconds(200)) return;
    last_ = time;
    progress_(now_);
  }

  /// The last report: all of the files.
  void finish(int64_t documents) {
    now_.bytes = now_.total_bytes;
    now_.documents = documents;
    if (progress_) progress_(now_);
  }

 private:
  const std::function<void(const PrepareProgress&)>& progress_;
  PrepareProgress now_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
};

}  // namespace trireme::data
