// Tensors for tests of ops: fresh random inputs whose seed is printed when a test fails, outputs poisoned with NaN, and
// the relative norm that compares an fp32 result with a float64 reference. Knows nothing of any op.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <random>
#include <span>
#include <string>
#include <type_traits>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/error.h"
#include "runtime/view.h"
#include "tests/reference/device.h"

namespace trireme::tests {

/// Memory of a test that the host fills and reads and ops see as a view.
template <typename T>
struct Tensor {
  runtime::Shape shape;
  std::vector<T, SharedAllocator<T>> values;

  explicit Tensor(runtime::Shape shape_, T fill = T{})
      : shape(shape_), values(static_cast<size_t>(shape_.elements()), fill) {}

  runtime::View view() { return runtime::view_of(std::span<T>(values), shape); }
  runtime::ConstView view() const { return runtime::view_of(std::span<const T>(values), shape); }
  T& operator[](int64_t index) { return values[static_cast<size_t>(index)]; }
  const T& operator[](int64_t index) const { return values[static_cast<size_t>(index)]; }
  int64_t size() const { return static_cast<int64_t>(values.size()); }
};

/// An output: whatever the op leaves unwritten, or reads before writing, shows as NaN. T is float or bf16.
template <typename T = float>
Tensor<T> poisoned(runtime::Shape shape) {
  return Tensor<T>(shape, T(std::numeric_limits<float>::quiet_NaN()));
}

/// The relative error an op may have with storage T: fp32 rounds by 6e-8 and sums of many terms add up to some 1e-6;
/// bf16 rounds each stored value by up to 2^-8 = 4e-3.
template <typename T>
inline constexpr double kStorageTolerance = std::is_same_v<T, runtime::bf16> ? 1e-2 : 1e-5;

/// The same tensor, one element off what 16-byte accesses need.
template <typename T>
class Misaligned {
 public:
  explicit Misaligned(const Tensor<T>& tensor) : shape_(tensor.shape), values_({tensor.size() + 1}) {
    std::ranges::copy(tensor.values, values_.values.begin() + 1);
  }
  runtime::View view() { return values_.view().range(1, shape_); }
  Tensor<T> tensor() const {
    Tensor<T> copy(shape_);
    std::copy_n(values_.values.begin() + 1, copy.size(), copy.values.begin());
    return copy;
  }

 private:
  runtime::Shape shape_;
  Tensor<T> values_;
};

/// A view of a dry stream.
inline runtime::View dry_view(runtime::Shape shape, runtime::DType dtype = runtime::DType::fp32) {
  return {{nullptr, dtype, shape}};
}

/// Fresh random numbers in every run. A failure inside its scope prints the seed; TRIREME_TEST_SEED=n repeats it.
class Random {
 public:
  Random() : Random(choose_seed()) {}

  /// For code that draws by itself.
  std::mt19937_64& engine() { return engine_; }

  float normal(float scale = 1) { return std::normal_distribution<float>(0, scale)(engine_); }
  float uniform(float low, float high) { return std::uniform_real_distribution<float>(low, high)(engine_); }
  int64_t below(int64_t end) { return std::uniform_int_distribution<int64_t>(0, end - 1)(engine_); }

  template <typename T = float>
  Tensor<T> normals(runtime::Shape shape, float scale = 1) {
    Tensor<T> tensor(shape);
    for (T& value : tensor.values) value = normal(scale);
    return tensor;
  }
  /// Integers in [0, end).
  Tensor<int32_t> integers(runtime::Shape shape, int64_t end) {
    Tensor<int32_t> tensor(shape);
    for (int32_t& value : tensor.values) value = static_cast<int32_t>(below(end));
    return tensor;
  }

 private:
  explicit Random(uint64_t seed)
      : engine_(seed), trace_("random inputs", 0, "repeat with TRIREME_TEST_SEED=" + std::to_string(seed)) {}

  static uint64_t choose_seed() {
    const char* given = std::getenv("TRIREME_TEST_SEED");
    return given != nullptr ? std::strtoull(given, nullptr, 10) : std::random_device()();
  }

  std::mt19937_64 engine_;
  testing::ScopedTrace trace_;
};

template <typename T>
std::vector<double> to_double(const Tensor<T>& tensor) {
  return {tensor.values.begin(), tensor.values.end()};
}

/// |actual - expected| / |expected| in the Euclidean norm (of the difference alone when expected is 0). NaN anywhere
/// gives NaN, which no EXPECT_LE accepts.
template <typename T>
double relative_error(std::span<const T> actual, std::span<const double> expected) {
  if (actual.size() != expected.size()) return std::numeric_limits<double>::quiet_NaN();
  double difference = 0;
  double norm = 0;
  for (size_t i = 0; i < actual.size(); ++i) {
    const double error = static_cast<double>(actual[i]) - expected[i];
    difference += error * error;
    norm += expected[i] * expected[i];
  }
  return std::sqrt(norm > 0 ? difference / norm : difference);
}
template <typename T>
double relative_error(const Tensor<T>& actual, std::span<const double> expected) {
  return relative_error(std::span<const T>(actual.values), expected);
}

/// The message of the Error that `action` throws; a failure when it throws none.
template <typename Action>
std::string error_message(Action&& action) {
  try {
    action();
  } catch (const runtime::Error& error) {
    return error.what();
  }
  ADD_FAILURE() << "an Error was expected";
  return "";
}

}  // namespace trireme::tests
