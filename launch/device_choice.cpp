#include "launch/device_choice.h"

#include "runtime/cuda_queue.h"
#include "runtime/error.h"

namespace trireme::launch {

std::vector<std::string> device_words() {
  return {"auto", "cpu", "cuda"};
}

runtime::Device choose_device(const std::string& word, int ranks) {
  using runtime::Device;
  if (word == "cpu") return Device::cpu;
  const std::string missing = runtime::cuda::why_no_device();
  if (word == "auto") return missing.empty() && ranks == 1 ? Device::cuda : Device::cpu;  // several: see the header
  if (!missing.empty()) {
    throw runtime::Error(runtime::ErrorKind::usage, "--device cuda: " + missing + "; or use --device cpu");
  }
  if (ranks > 1) {
    throw runtime::Error(runtime::ErrorKind::usage, "--device cuda computes on one GPU so far, and " +
                                                        std::to_string(ranks) +
                                                        " ranks were started; start one, or use --device cpu");
  }
  return Device::cuda;
}

}  // namespace trireme::launch
