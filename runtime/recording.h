// An action of a step, run again and again with the same operands at the same places: on the GPU its work is recorded
// (a CUDA graph) and from then on queued in one piece, elsewhere it is simply run. It knows nothing of what is in it.
#pragma once

#include <functional>

#include "runtime/stream.h"

namespace trireme::runtime {

class Recording {
 public:
  /// Runs `action`, whose ops go to `stream`. On the GPU the first call runs it as it comes (libraries choose their
  /// algorithms then), the second records it, and later ones repeat the record without calling `action`: so it may do
  /// nothing but ops, whose operands and numbers must be those of the call that was recorded. A timed stream is not
  /// recorded. Costs are counted each time.
  void run(Stream& stream, const std::function<void()>& action);

 private:
  CudaRecordingPointer record_;
  CostRecord costs_;
  bool has_run_ = false;
};

}  // namespace trireme::runtime
