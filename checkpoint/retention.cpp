#include "checkpoint/retention.h"

#include "checkpoint/step_directory.h"
#include "runtime/error.h"

namespace trireme::checkpoint {

void keep_last(runtime::Files& files, const std::string& checkpoints_directory, int64_t k) {
  if (k < 0)
    throw runtime::Error(runtime::ErrorKind::usage,
                         "--keep-last must be 0 (keep all) or more, not " + std::to_string(k));
  if (k == 0) return;
  const std::vector<int64_t> steps = committed_steps(files, checkpoints_directory);
  const auto keep = static_cast<size_t>(k);
  for (size_t i = 0; i + keep < steps.size(); ++i) discard_step(files, checkpoints_directory, steps[i]);
}

void set_aside_newer(runtime::Files& files, const std::string& checkpoints_directory, int64_t step) {
  for (int64_t newer : committed_steps(files, checkpoints_directory)) {
    if (newer <= step) continue;
    const std::string directory = step_directory(checkpoints_directory, newer);
    const std::string name = directory.substr(checkpoints_directory.size() + 1);
    std::string aside = checkpoints_directory + "/aside-" + name;
    for (int copy = 2; files.exists(aside); ++copy) {
      aside = checkpoints_directory + "/aside-" + name + "-" + std::to_string(copy);
    }
    files.rename(directory, aside);
    files.sync_directory(checkpoints_directory);
  }
}

}  // namespace trireme::checkpoint
