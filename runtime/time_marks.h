// Points between the ops of a stream, and the time from one to the next: wall time where ops run inline, the device's
// own on the GPU.
#pragma once

#include <vector>

#include "runtime/stream.h"

namespace trireme::runtime {

class TimeMarks {
 public:
  explicit TimeMarks(Stream& stream) : stream_(stream) {}

  /// Forgets the marks, keeps their places.
  void clear() { count_ = 0; }
  void mark();
  /// From mark `index` to the next; the stream has been waited for since.
  double seconds(size_t index) const;

 private:
  Stream& stream_;
  size_t count_ = 0;
  std::vector<CudaEventPointer> events_;
  std::vector<double> seconds_;
  Stopwatch watch_;
};

}  // namespace trireme::runtime
