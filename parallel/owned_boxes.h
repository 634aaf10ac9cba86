// A contiguous range of a row-major box as boxes: ZeRO cuts the flat range of a unit wherever it likes, while
// checkpoints know (name, box) alone. A pure function.
#pragma once

#include <cstdint>
#include <vector>

#include "parallel/box.h"
#include "runtime/ops/adamw.h"

namespace trireme::parallel {

struct OwnedBox {
  Box box;             ///< in the coordinates of the box that was cut
  int64_t offset = 0;  ///< of its first element in the row-major order of that box
  bool operator==(const OwnedBox&) const = default;
};

/// The elements `range` of the row-major `box`, cut into boxes that are contiguous in it, in order, as few as possible:
/// one of a vector, three at most of a matrix (the end of a row, whole rows, the beginning of a row), 2 n - 1 of n
/// axes. The part of `range` beyond the box is ignored.
std::vector<OwnedBox> owned_boxes(const Box& box, runtime::ElementRange range);

}  // namespace trireme::parallel
