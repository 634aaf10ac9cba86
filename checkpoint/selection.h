// Which of many tensors are meant: shell patterns over their names ("layers.*.mlp.*"). Pure functions, for loading or
// merging a part of a checkpoint.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/tensor_slice.h"

namespace trireme::checkpoint {

/// Whether any of the patterns matches all of the name, as fnmatch(3) without flags: * stands for any text, dots
/// included, ? for any character, [a-f] for one of those.
bool is_selected(const std::string& name, std::span<const std::string> patterns);

/// The first pattern that matches none of the names.
std::optional<std::string> idle_pattern(std::span<const std::string> names, std::span<const std::string> patterns);

/// The slices of that kind whose tensors are selected, in their order.
std::vector<TensorSlice> selected_slices(std::span<const TensorSlice> slices, const std::string& kind,
                                         std::span<const std::string> patterns);

}  // namespace trireme::checkpoint
