#include "parallel/owned_boxes.h"

#include <algorithm>
#include <utility>

namespace trireme::parallel {
namespace {

/// Cuts the sub-box of `box` that lies at `start` along its first `axis` axes and is whole along the others.
class Cutter {
 public:
  explicit Cutter(const Box& box) : box_(box), start_(box.start), size_(box.size) {}

  /// Elements [begin, end) of the sub-box, whose first element is number `offset` of the box.
  void cut(size_t axis, int64_t begin, int64_t end, int64_t offset) {
    if (begin >= end) return;
    const int64_t row = elements_of_row(axis);  // of one place along `axis`
    const int64_t first_whole = (begin + row - 1) / row;
    const int64_t last_whole = end / row;
    if (first_whole > last_whole) {  // inside one row
      cut_row(axis, last_whole, begin, end, offset);
      return;
    }
    if (begin < first_whole * row) cut_row(axis, first_whole - 1, begin, first_whole * row, offset);
    if (first_whole < last_whole) {
      start_[axis] = box_.start[axis] + first_whole;
      size_[axis] = last_whole - first_whole;
      boxes.push_back({.box = {start_, size_}, .offset = offset + first_whole * row});
      start_[axis] = box_.start[axis];
      size_[axis] = box_.size[axis];
    }
    if (last_whole * row < end) cut_row(axis, last_whole, last_whole * row, end, offset);
  }

  std::vector<OwnedBox> boxes;

 private:
  int64_t elements_of_row(size_t axis) const {
    int64_t elements = 1;
    for (size_t inner = axis + 1; inner < box_.size.size(); ++inner) elements *= box_.size[inner];
    return elements;
  }

  /// The part [begin, end) of row number `place` along `axis`.
  void cut_row(size_t axis, int64_t place, int64_t begin, int64_t end, int64_t offset) {
    const int64_t row_begin = place * elements_of_row(axis);
    start_[axis] = box_.start[axis] + place;
    size_[axis] = 1;
    cut(axis + 1, begin - row_begin, end - row_begin, offset + row_begin);
    start_[axis] = box_.start[axis];
    size_[axis] = box_.size[axis];
  }

  const Box& box_;
  std::vector<int64_t> start_;
  std::vector<int64_t> size_;
};

}  // namespace

std::vector<OwnedBox> owned_boxes(const Box& box, runtime::ElementRange range) {
  Cutter cutter(box);
  cutter.cut(0, std::max<int64_t>(range.begin, 0), std::min(range.end, box.elements()), 0);
  return std::move(cutter.boxes);
}

}  // namespace trireme::parallel
