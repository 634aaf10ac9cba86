#include "runtime/view.h"

#include <algorithm>

#include "runtime/error.h"

namespace trireme::runtime {
namespace {

template <typename V>
V part(const V& view, int64_t begin, const Shape& shape) {
  if (begin < 0 || begin + shape.elements() > view.elements()) {
    throw Error(ErrorKind::internal, "view " + to_string(view.shape) + " has no elements [" + std::to_string(begin) +
                                         ", " + std::to_string(begin + shape.elements()) + ")");
  }
  V result = view;
  result.shape = shape;
  if (view.data != nullptr) {  // views of a dry stream stay null
    using Byte = std::conditional_t<std::is_const_v<std::remove_pointer_t<decltype(view.data)>>, const char, char>;
    result.data = static_cast<Byte*>(view.data) + begin * size_bytes(view.dtype);
  }
  return result;
}

template <typename V>
V reshape(const V& view, const Shape& shape) {
  if (shape.elements() != view.elements()) {
    throw Error(ErrorKind::internal, "cannot see " + to_string(view.shape) + " as " + to_string(shape));
  }
  return part(view, 0, shape);
}

template <typename V>
V row_range(const V& view, int64_t begin, int64_t count) {
  std::array<int64_t, Shape::kMaxRank> sizes{};
  std::ranges::copy(view.shape.sizes(), sizes.begin());
  const int64_t row = view.shape[0] == 0 ? 0 : view.elements() / view.shape[0];
  sizes[0] = count;
  return part(view, begin * row, Shape(std::span<const int64_t>(sizes.data(), static_cast<size_t>(view.shape.rank()))));
}

}  // namespace

Shape::Shape(std::span<const int64_t> sizes) : rank_(static_cast<int>(sizes.size())) {
  if (sizes.size() > kMaxRank) {
    throw Error(ErrorKind::internal, "a shape has at most " + std::to_string(kMaxRank) + " axes");
  }
  std::ranges::copy(sizes, sizes_.begin());
}

int64_t Shape::elements() const {
  if (rank_ == 0) return 0;
  int64_t product = 1;
  for (int64_t size : sizes()) product *= size;
  return product;
}

std::string to_string(const Shape& shape) {
  std::string text = "(";
  for (int axis = 0; axis < shape.rank(); ++axis) {
    if (axis > 0) text += ", ";
    text += std::to_string(shape[axis]);
  }
  return text + ")";
}

ConstView ConstView::reshaped(Shape new_shape) const {
  return reshape(*this, new_shape);
}
ConstView ConstView::rows(int64_t begin, int64_t count) const {
  return row_range(*this, begin, count);
}
ConstView ConstView::range(int64_t begin, Shape new_shape) const {
  return part(*this, begin, new_shape);
}
View View::reshaped(Shape new_shape) const {
  return reshape(*this, new_shape);
}
View View::rows(int64_t begin, int64_t count) const {
  return row_range(*this, begin, count);
}
View View::range(int64_t begin, Shape new_shape) const {
  return part(*this, begin, new_shape);
}

}  // namespace trireme::runtime
