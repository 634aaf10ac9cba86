#include "checkpoint/selection.h"

#include <fnmatch.h>

#include <algorithm>

namespace trireme::checkpoint {
namespace {

bool matches(const std::string& name, const std::string& pattern) {
  return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

}  // namespace

bool is_selected(const std::string& name, std::span<const std::string> patterns) {
  return std::ranges::any_of(patterns, [&](const std::string& pattern) { return matches(name, pattern); });
}

std::optional<std::string> idle_pattern(std::span<const std::string> names, std::span<const std::string> patterns) {
  for (const std::string& pattern : patterns) {
    if (std::ranges::none_of(names, [&](const std::string& name) { return matches(name, pattern); })) return pattern;
  }
  return std::nullopt;
}

std::vector<TensorSlice> selected_slices(std::span<const TensorSlice> slices, const std::string& kind,
                                         std::span<const std::string> patterns) {
  std::vector<TensorSlice> selected;
  std::ranges::copy_if(slices, std::back_inserter(selected), [&](const TensorSlice& slice) {
    return slice.kind == kind && is_selected(slice.name, patterns);
  });
  return selected;
}

}  // namespace trireme::checkpoint
