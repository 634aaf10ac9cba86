// Proves that stored slices hold every element of every tensor exactly once. A pure function over a manifest.
#pragma once

#include <string>
#include <vector>

#include "checkpoint/manifest.h"

namespace trireme::checkpoint {

/// One line for each hole, overlap, tensor without axes, box outside its tensor, slice of no tensor and byte count that
/// does not fit; empty when each tensor is covered exactly once.
std::vector<std::string> coverage_problems(const Manifest& manifest);

}  // namespace trireme::checkpoint
