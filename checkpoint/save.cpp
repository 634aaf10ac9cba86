#include "checkpoint/save.h"

#include <algorithm>

#include "checkpoint/background_saver.h"

namespace trireme::checkpoint {

void save(runtime::Files& files, runtime::Communicator& communicator, const SaveRequest& request) {
  runtime::Stream stream(runtime::Device::cpu);
  int64_t bytes = 0;
  for (const TensorSlice& slice : request.slices) bytes += slice.data.bytes();
  BackgroundSaver saver(files, communicator, stream, std::min(bytes, Snapshot::kSmallestBytes));
  saver.begin(request);
  const SaveEnd end = saver.finish();
  if (end.failure) throw runtime::Error(*end.failure);
}

}  // namespace trireme::checkpoint
