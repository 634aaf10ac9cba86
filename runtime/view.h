// A view says where a tensor lies, of which dtype and shape: row-major and contiguous, never owning. Views of a dry
// stream have a null address and are as good as any other for shape arithmetic. Only ops dereference views.
#pragma once

#include <array>
#include <cassert>
#include <cstdint>
#include <initializer_list>
#include <span>
#include <string>

#include "runtime/dtype.h"

namespace trireme::runtime {

/// Up to four sizes, outermost first. Rank 0 is the shape of an absent view (and has no elements).
class Shape {
 public:
  static constexpr int kMaxRank = 4;

  Shape() = default;
  Shape(std::initializer_list<int64_t> sizes) : Shape(std::span<const int64_t>(sizes.begin(), sizes.size())) {}
  explicit Shape(std::span<const int64_t> sizes);

  int rank() const { return rank_; }
  int64_t operator[](int axis) const {
    assert(axis >= 0 && axis < rank_);
    return sizes_[static_cast<size_t>(axis)];
  }
  std::span<const int64_t> sizes() const { return {sizes_.data(), static_cast<size_t>(rank_)}; }
  int64_t elements() const;
  bool operator==(const Shape& other) const = default;

 private:
  std::array<int64_t, kMaxRank> sizes_{};
  int rank_ = 0;
};

/// "(4, 256, 768)"
std::string to_string(const Shape& shape);

/// What View and ConstView share; `Address` is `void*` or `const void*`.
template <typename Address>
struct BasicView {
  Address data = nullptr;
  DType dtype = DType::fp32;
  Shape shape;

  int64_t elements() const { return shape.elements(); }
  int64_t bytes() const { return elements() * size_bytes(dtype); }
  /// True for an optional operand that was not given.
  bool absent() const { return shape.rank() == 0; }
};

struct ConstView : BasicView<const void*> {
  template <typename T>
  const T* as() const {
    assert(dtype == dtype_of<T>);
    return static_cast<const T*>(data);
  }
  ConstView reshaped(Shape new_shape) const;
  /// Rows [begin, begin + count) of the outermost axis.
  ConstView rows(int64_t begin, int64_t count) const;
  /// Elements [begin, begin + elements of new_shape) of the flat tensor.
  ConstView range(int64_t begin, Shape new_shape) const;
};

struct View : BasicView<void*> {
  template <typename T>
  T* as() const {
    assert(dtype == dtype_of<T>);
    return static_cast<T*>(data);
  }
  operator ConstView() const { return {{data, dtype, shape}}; }  // NOLINT: a view is usable where a const view is
  View reshaped(Shape new_shape) const;
  View rows(int64_t begin, int64_t count) const;
  View range(int64_t begin, Shape new_shape) const;
};

/// Views over host memory of the caller, for tests and for the ends of the program where data comes in.
template <typename T>
View view_of(std::span<T> values, Shape shape) {
  assert(static_cast<int64_t>(values.size()) == shape.elements());
  return {{values.data(), dtype_of<T>, shape}};
}
template <typename T>
ConstView view_of(std::span<const T> values, Shape shape) {
  assert(static_cast<int64_t>(values.size()) == shape.elements());
  return {{values.data(), dtype_of<T>, shape}};
}

}  // namespace trireme::runtime
