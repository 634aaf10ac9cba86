#include "runtime/recording.h"

#include <utility>

namespace trireme::runtime {
namespace {

/// Ends the recording that an action's failure leaves open.
class OpenRecording {
 public:
  explicit OpenRecording(CudaQueue& queue) : queue_(&queue) { cuda::begin_recording(queue); }
  ~OpenRecording() {
    if (queue_ == nullptr) return;
    try {
      cuda::end_recording(*queue_);
    } catch (const Error&) {  // the action's own failure is on its way
    }
  }
  OpenRecording(const OpenRecording&) = delete;
  OpenRecording& operator=(const OpenRecording&) = delete;
  CudaRecordingPointer end() { return cuda::end_recording(*std::exchange(queue_, nullptr)); }

 private:
  CudaQueue* queue_;
};

}  // namespace

void Recording::run(Stream& stream, const std::function<void()>& action) {
  if (stream.device() != Device::cuda || stream.is_timed() || !has_run_) {
    action();
    has_run_ = true;
    return;
  }
  if (!record_) {
    const CostRecord before = stream.costs();
    OpenRecording open(stream.queue());
    action();
    record_ = open.end();
    costs_ = stream.costs().since(before);
  } else {
    stream.add_costs(costs_);
  }
  cuda::replay(stream.queue(), *record_);
}

}  // namespace trireme::runtime
