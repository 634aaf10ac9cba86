#include "runtime/ops/elementwise_cpu.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "runtime/ops/check.h"
#include "runtime/ops/philox_lanes.h"
#include "runtime/simd.h"

namespace trireme::runtime::cpu {
namespace {

constexpr int64_t kBlock = 4096;  // elements that one thread takes at a time, and a term of the sum of squares

template <typename From, typename To>
TRIREME_SIMD void cast_block(const From* x, To* y, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = x[i];
}

template <typename T>
TRIREME_SIMD void add_block(const T* a, const T* b, T* y, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = a[i] + b[i];
}

/// In fp64: a square of an fp32 number is exact there and cannot overflow.
TRIREME_SIMD double sum_of_squares(const float* x, int64_t n) {
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(x[i]) * x[i];
  return sum;
}

template <typename T>
void fill_all(T* y, int64_t n, T value) {
#pragma omp parallel for schedule(static)
  for (int64_t begin = 0; begin < n; begin += kBlock) std::fill_n(y + begin, std::min(kBlock, n - begin), value);
}

constexpr int64_t kNormals = 4 * kPhiloxLanes;  // elements of one call of philox_lanes

/// The elements [group * kNormals, (group + 1) * kNormals) of a tensor, whole. Element e comes from the Philox counter
/// (e / 4 low, e / 4 high, name_hash low, name_hash high) with key = seed. Of its words w, (w0, w1) make the elements 0
/// and 1 of the four, (w2, w3) the elements 2 and 3: radius sqrt(-2 ln(1 - unit(w0))), angle 2 pi unit(w1), cosine
/// first (Box and Muller 1958). 1 - unit is in (0, 1], so that its logarithm is finite.
TRIREME_SIMD void normal_group(const NormalSource& source, int64_t group, float* y) {
  PhiloxLanes words;
  for (int64_t i = 0; i < kPhiloxLanes; ++i) {
    const auto index = static_cast<uint64_t>(group * kPhiloxLanes + i);
    words[0][i] = static_cast<uint32_t>(index);
    words[1][i] = static_cast<uint32_t>(index >> 32);
    words[2][i] = static_cast<uint32_t>(source.name_hash);
    words[3][i] = static_cast<uint32_t>(source.name_hash >> 32);
  }
  philox_lanes(words, philox_key(source.seed));
  for (int64_t i = 0; i < kPhiloxLanes; ++i) {
    for (int64_t pair = 0; pair < 4; pair += 2) {
      const float radius = source.standard_deviation * std::sqrt(-2 * std::log(1 - unit_float(words[pair][i])));
      const float angle = 2 * std::numbers::pi_v<float> * unit_float(words[pair + 1][i]);
      y[4 * i + pair] = radius * std::cos(angle);
      y[4 * i + pair + 1] = radius * std::sin(angle);
    }
  }
}

}  // namespace

void cast(ConstView x, View y) {
  const int64_t n = x.elements();
  with_storage(x.dtype, [&](auto from) {
    with_storage(y.dtype, [&](auto to) {
      const auto* values = x.as<decltype(from)>();
      auto* out = y.as<decltype(to)>();
#pragma omp parallel for schedule(static)
      for (int64_t begin = 0; begin < n; begin += kBlock) {
        cast_block(values + begin, out + begin, std::min(kBlock, n - begin));
      }
    });
  });
}

void fill(View y, double value) {
  if (y.dtype == DType::fp64) return fill_all(y.as<double>(), y.elements(), value);
  with_storage(y.dtype, [&](auto zero) {
    using T = decltype(zero);
    fill_all(y.as<T>(), y.elements(), static_cast<T>(static_cast<float>(value)));
  });
}

void add(ConstView a, ConstView b, View y) {
  const int64_t n = a.elements();
  with_storage(a.dtype, [&](auto zero) {
    using T = decltype(zero);
#pragma omp parallel for schedule(static)
    for (int64_t begin = 0; begin < n; begin += kBlock) {
      add_block(a.as<T>() + begin, b.as<T>() + begin, y.as<T>() + begin, std::min(kBlock, n - begin));
    }
  });
}

void add_sum_of_squares(ConstView x, View total) {
  constexpr int64_t kGroup = 64;          // blocks whose sums are added first: on a GPU by a thread each
  constexpr int64_t kSums = 64 * kGroup;  // kept on the stack: nothing allocates in a step
  double sums[kSums];
  const int64_t n = x.elements();
  const float* values = x.as<float>();
  double* result = total.as<double>();
  for (int64_t part = 0; part < n; part += kSums * kBlock) {
    const int64_t part_end = std::min(n, part + kSums * kBlock);
#pragma omp parallel for schedule(static)
    for (int64_t begin = part; begin < part_end; begin += kBlock) {
      sums[(begin - part) / kBlock] = sum_of_squares(values + begin, std::min(kBlock, part_end - begin));
    }
    for (int64_t begin = part; begin < part_end; begin += kGroup * kBlock) {
      const int64_t first = (begin - part) / kBlock;
      const int64_t count = std::min(kGroup, (part_end - begin + kBlock - 1) / kBlock);
      *result += std::accumulate(sums + first, sums + first + count, 0.0);
    }
  }
}

void fill_normal(const NormalSource& source, int64_t begin, View y) {
  const int64_t end = begin + y.elements();
  float* out = y.as<float>();
#pragma omp parallel for schedule(static)
  for (int64_t group = begin / kNormals; group < (end + kNormals - 1) / kNormals; ++group) {
    float normals[kNormals];
    normal_group(source, group, normals);
    const int64_t first = std::max(begin, group * kNormals);
    const int64_t last = std::min(end, (group + 1) * kNormals);
    std::copy_n(normals + (first - group * kNormals), last - first, out + (first - begin));
  }
}

}  // namespace trireme::runtime::cpu
