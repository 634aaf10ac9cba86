#include "checkpoint/retention.h"

#include "checkpoint/step_directory.h"
#include "runtime/error.h"

namespace trireme::checkpoint {

void keep_last(runtime::Files& files, const std::string& checkpoints_directory, int64_t k) {
  if (k < 0)
    throw runtime::Error(runtime::ErrorKind::internal, "cannot keep the newest " + std::to_string(k) + " steps");
  if (k == 0) return;
  const std::vector<int64_t> steps = committed_steps(files, checkpoints_directory);
  const auto keep = static_cast<size_t>(k);
  for (size_t i = 0; i + keep < steps.size(); ++i) discard_step(files, checkpoints_directory, steps[i]);
}

void set_aside_newer(runtime::Files& files, const std::string& checkpoints_directory, int64_t step) {
  std::vector<int64_t> steps = committed_steps(files, checkpoints_directory);
  for (; !steps.empty() && steps.back() > step; steps.pop_back()) {
    set_aside_step(files, checkpoints_directory, steps.back());
  }
}

}  // namespace trireme::checkpoint
