#include "runtime/time_marks.h"

#include <cassert>

namespace trireme::runtime {

void TimeMarks::mark() {
  if (stream_.device() == Device::cuda) {
    if (count_ == events_.size()) events_.push_back(cuda::make_event());
    cuda::mark(stream_.queue(), *events_[count_]);
  } else {
    if (count_ == seconds_.size()) seconds_.push_back(0);
    seconds_[count_] = watch_.seconds();
  }
  ++count_;
}

double TimeMarks::seconds(size_t index) const {
  assert(index + 1 < count_);
  if (stream_.device() == Device::cuda) return cuda::seconds_between(*events_[index], *events_[index + 1]);
  return seconds_[index + 1] - seconds_[index];
}

}  // namespace trireme::runtime
