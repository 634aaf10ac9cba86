// A box is a rectangular part of a tensor in global coordinates. Checkpoints, export, initialisation and resharding all
// work on (name, box); a box does not know who owns it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trireme::parallel {

struct Box {
  std::vector<int64_t> start;
  std::vector<int64_t> size;

  /// A box without axes has none, like a Shape of rank 0.
  int64_t elements() const;
  bool operator==(const Box&) const = default;
};

/// The whole of a tensor of this shape.
Box whole(const std::vector<int64_t>& global_shape);

/// The common part, or nothing. Both boxes have the same number of axes.
std::optional<Box> intersect(const Box& a, const Box& b);

/// "[0:768, 16:32]"
std::string to_string(const Box& box);

/// Runs of elements that are contiguous both in row-major `from` and in row-major `to`, covering their intersection, in
/// row-major order (both indices ascend). As few as whole inner axes allow.
struct CopyRun {
  int64_t from_begin = 0;  ///< flat element index inside `from`
  int64_t to_begin = 0;    ///< flat element index inside `to`
  int64_t elements = 0;
  bool operator==(const CopyRun&) const = default;
};
std::vector<CopyRun> copy_runs(const Box& from, const Box& to);

}  // namespace trireme::parallel
