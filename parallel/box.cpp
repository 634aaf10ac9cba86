#include "parallel/box.h"

#include <algorithm>

#include "runtime/error.h"

namespace trireme::parallel {
namespace {

// Elements between neighbours along each axis of a row-major box.
std::vector<int64_t> strides_of(const Box& box) {
  std::vector<int64_t> strides(box.size.size(), 1);
  for (size_t axis = strides.size(); axis-- > 1;) strides[axis - 1] = strides[axis] * box.size[axis];
  return strides;
}

int64_t flat_index(const Box& box, const std::vector<int64_t>& strides, const std::vector<int64_t>& place) {
  int64_t index = 0;
  for (size_t axis = 0; axis < place.size(); ++axis) index += (place[axis] - box.start[axis]) * strides[axis];
  return index;
}

// Steps to the next place of `within` along its axes [0, axes), the last of them fastest; false after the last place.
bool next_place(const Box& within, size_t axes, std::vector<int64_t>& place) {
  for (size_t axis = axes; axis-- > 0;) {
    if (++place[axis] < within.start[axis] + within.size[axis]) return true;
    place[axis] = within.start[axis];
  }
  return false;
}

}  // namespace

int64_t Box::elements() const {
  if (size.empty()) return 0;
  int64_t product = 1;
  for (int64_t count : size) product *= count;
  return product;
}

Box whole(const std::vector<int64_t>& global_shape) {
  return {std::vector<int64_t>(global_shape.size(), 0), global_shape};
}

std::optional<Box> intersect(const Box& a, const Box& b) {
  if (a.start.size() != b.start.size()) {
    throw runtime::Error(runtime::ErrorKind::internal,
                         "boxes of different rank: " + to_string(a) + " and " + to_string(b));
  }
  Box common;
  for (size_t axis = 0; axis < a.start.size(); ++axis) {
    const int64_t begin = std::max(a.start[axis], b.start[axis]);
    const int64_t end = std::min(a.start[axis] + a.size[axis], b.start[axis] + b.size[axis]);
    if (end <= begin) return std::nullopt;
    common.start.push_back(begin);
    common.size.push_back(end - begin);
  }
  return common;
}

std::string to_string(const Box& box) {
  std::string text = "[";
  for (size_t axis = 0; axis < box.start.size(); ++axis) {
    if (axis > 0) text += ", ";
    text += std::to_string(box.start[axis]) + ":" + std::to_string(box.start[axis] + box.size[axis]);
  }
  return text + "]";
}

std::vector<CopyRun> copy_runs(const Box& from, const Box& to) {
  const std::optional<Box> common = intersect(from, to);
  if (!common || common->size.empty()) return {};
  // A run goes along the last axis, and along one axis further out for each axis that is whole in both boxes.
  size_t axis = common->size.size() - 1;
  int64_t run_elements = common->size[axis];
  while (axis > 0 && common->size[axis] == from.size[axis] && common->size[axis] == to.size[axis]) {
    run_elements *= common->size[--axis];
  }
  const std::vector<int64_t> from_strides = strides_of(from);
  const std::vector<int64_t> to_strides = strides_of(to);
  std::vector<CopyRun> runs;
  std::vector<int64_t> place = common->start;
  do {
    runs.push_back({flat_index(from, from_strides, place), flat_index(to, to_strides, place), run_elements});
  } while (next_place(*common, axis, place));
  return runs;
}

}  // namespace trireme::parallel
