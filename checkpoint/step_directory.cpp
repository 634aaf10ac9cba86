#include "checkpoint/step_directory.h"

#include <algorithm>
#include <charconv>

namespace trireme::checkpoint {
namespace {

constexpr std::string_view kPrefix = "step-";
constexpr size_t kDigits = 9;

std::string step_name(int64_t step) {
  const std::string digits = std::to_string(step);
  return std::string(kPrefix) + std::string(kDigits - std::min(kDigits, digits.size()), '0') + digits;
}

}  // namespace

std::optional<int64_t> step_of_name(std::string_view directory_name) {
  if (!directory_name.starts_with(kPrefix)) return std::nullopt;
  const std::string_view digits = directory_name.substr(kPrefix.size());
  int64_t step = 0;
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), step);
  if (code != std::errc() || step < 0 || step_name(step) != directory_name) return std::nullopt;
  return step;
}

std::string step_directory(const std::string& checkpoints_directory, int64_t step) {
  return checkpoints_directory + "/" + step_name(step);
}

std::vector<int64_t> committed_steps(runtime::Files& files, const std::string& checkpoints_directory) {
  std::vector<int64_t> steps;
  if (!files.is_directory(checkpoints_directory)) return steps;
  for (const std::string& name : files.list(checkpoints_directory)) {
    const std::optional<int64_t> step = step_of_name(name);
    if (step && files.is_directory(checkpoints_directory + "/" + name)) steps.push_back(*step);
  }
  std::ranges::sort(steps);
  return steps;
}

void sweep(runtime::Files& files, const std::string& checkpoints_directory) {
  for (const std::string& name : files.list(checkpoints_directory)) {
    const bool unfinished = name.starts_with(kPrefix) && name.find(".tmp-") != std::string::npos;
    if (unfinished || name.starts_with("trash-")) files.remove_all(checkpoints_directory + "/" + name);
  }
}

void set_aside_step(runtime::Files& files, const std::string& checkpoints_directory, int64_t step) {
  const std::string directory = step_directory(checkpoints_directory, step);
  if (!files.exists(directory)) return;
  const std::string name = checkpoints_directory + "/aside-" + step_name(step);
  std::string aside = name;
  for (int copy = 2; files.exists(aside); ++copy) aside = name + "-" + std::to_string(copy);
  files.rename(directory, aside);
  files.sync_directory(checkpoints_directory);
}

void discard_step(runtime::Files& files, const std::string& checkpoints_directory, int64_t step) {
  const std::string directory = step_directory(checkpoints_directory, step);
  if (!files.exists(directory)) return;
  const std::string trash = checkpoints_directory + "/trash-" + step_name(step);
  files.remove_all(trash);  // of a deletion that was cut short
  files.rename(directory, trash);
  files.sync_directory(checkpoints_directory);
  files.remove_all(trash);
}

}  // namespace trireme::checkpoint
