#include "checkpoint/step_directory.h"

#include <algorithm>
#include <charconv>

namespace trireme::checkpoint {
namespace {

constexpr std::string_view kPrefix = "step-";
constexpr size_t kDigits = 9;

}  // namespace

std::string step_name(int64_t step) {
  const std::string digits = std::to_string(step);
  return std::string(kPrefix) + std::string(kDigits - std::min(kDigits, digits.size()), '0') + digits;
}

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

std::string free_path(runtime::Files& files, const std::string& path) {
  std::string candidate = path;
  for (int copy = 2; files.exists(candidate); ++copy) candidate = path + "-" + std::to_string(copy);
  return candidate;
}

}  // namespace trireme::checkpoint
