#include "runtime/ops/dropout_cpu.h"

#include <algorithm>
#include <cstring>

#include "runtime/ops/check.h"
#include "runtime/ops/philox_lanes.h"
#include "runtime/simd.h"

namespace trireme::runtime::cpu {
namespace {

/// The channels of one position of one sample.
template <typename T>
struct Row {
  const T* x;
  T* y;
  int64_t C;
  PhiloxCounter counter;  ///< with word 0 free for channel / 4
};

constexpr int64_t kBlock = 4 * kPhiloxLanes;  // channels decided by one call of philox_lanes

template <typename T>
TRIREME_SIMD void drop_row(const Row<T>& row, PhiloxKey key, float probability) {
  const float scale = 1 / (1 - probability);
  for (int64_t begin = 0; begin < row.C; begin += kBlock) {
    PhiloxLanes words;
    for (int64_t i = 0; i < kPhiloxLanes; ++i) {
      words[0][i] = static_cast<uint32_t>(begin / 4 + i);
      for (size_t word = 1; word < 4; ++word) words[word][i] = row.counter[word];
    }
    philox_lanes(words, key);
    float factor[kBlock];
    for (int64_t i = 0; i < kPhiloxLanes; ++i) {
      for (int64_t word = 0; word < 4; ++word) {
        factor[4 * i + word] = unit_float(words[word][i]) >= probability ? scale : 0;
      }
    }
    const int64_t count = std::min(kBlock, row.C - begin);
#pragma omp simd
    for (int64_t c = 0; c < count; ++c) row.y[begin + c] = row.x[begin + c] * factor[c];
  }
}

}  // namespace

void dropout(const DropoutSite& site, const DropoutRows& rows, ConstView x, View y) {
  if (site.probability == 0) {
    if (y.data != x.data) std::memcpy(y.data, x.data, static_cast<size_t>(x.bytes()));
    return;
  }
  const int64_t N = x.shape[0];
  const int64_t C = x.shape[1];
  with_storage(x.dtype, [&](auto zero) {
    using Value = decltype(zero);
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < N; ++i) {
      const int64_t row = rows.first_row + i;
      const auto sample = static_cast<uint64_t>(rows.samples.as<int64_t>()[row / rows.T]);
      const PhiloxCounter counter = {0, static_cast<uint32_t>(row % rows.T),
                                     site.site | static_cast<uint32_t>(sample & 0xffff) << 16,
                                     static_cast<uint32_t>(sample >> 16)};
      drop_row(Row<Value>{x.as<Value>() + i * C, y.as<Value>() + i * C, C, counter}, philox_key(site.seed),
               site.probability);
    }
  });
}

}  // namespace trireme::runtime::cpu
