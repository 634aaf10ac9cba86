// How tests call attention: random operands, poisoned results and scratch. The op runs on the device under test.
#pragma once

#include <algorithm>
#include <cstdint>
#include <limits>

#include <gtest/gtest.h>

#include "runtime/ops/attention.h"
#include "tests/reference/attention.h"
#include "tests/reference/device.h"
#include "tests/reference/op_runs.h"
#include "tests/reference/tensors.h"

namespace trireme::tests {

/// Bytes that are enough for any of the three calls with today's number of threads: each takes a row of scratch.
inline int64_t attention_scratch_bytes(const runtime::AttentionShape& shape) {
  const auto [B, T, H, K, D] = shape;
  runtime::Stream dry = runtime::Stream::dry_for(device());
  runtime::Arena scratch = runtime::Arena::dry("scratch");
  const runtime::View qkv = dry_view({B * T, (H + 2 * K) * D});
  const runtime::View y = dry_view({B * T, H * D});
  const runtime::View log_sum_exp = dry_view({B, H, T});
  const runtime::View cache = dry_view({B, T, K, D});
  attention_forward(dry, shape, {.qkv = qkv, .y = y, .log_sum_exp = log_sum_exp}, scratch);
  attention_backward(dry, shape, {qkv, y, log_sum_exp, y, qkv}, scratch);
  cached_attention(dry, shape, {qkv, cache, cache, 0, y}, scratch);
  return scratch.peak_bytes();
}

/// Scratch whose bytes are NaN, as stale scratch may be.
inline runtime::Arena poisoned_attention_scratch(const runtime::AttentionShape& shape) {
  const int64_t bytes = attention_scratch_bytes(shape);
  runtime::Arena arena = shared_arena("scratch", bytes);
  const runtime::View all = arena.allocate(runtime::DType::fp32, {bytes / 4});
  std::fill_n(all.as<float>(), all.elements(), std::numeric_limits<float>::quiet_NaN());
  arena.reset();
  return arena;
}

template <typename T>
struct AttentionResults {
  Tensor<T> y;
  Tensor<float> log_sum_exp;
  Tensor<T> dqkv;
};

template <typename T>
Bits bits_of(const AttentionResults<T>& results) {
  return bits_of(results.y, results.log_sum_exp, results.dqkv);
}

template <typename T>
void expect_same_bits(const AttentionResults<T>& a, const AttentionResults<T>& b) {
  EXPECT_TRUE(same_bits(a.y, b.y));
  EXPECT_TRUE(same_bits(a.log_sum_exp, b.log_sum_exp));
  EXPECT_TRUE(same_bits(a.dqkv, b.dqkv));
}

/// As near to float64 as the storage allows.
template <typename T>
void expect_matches(const AttentionResults<T>& results, const AttentionReference& expected) {
  EXPECT_LE(relative_error(results.y, expected.y), kStorageTolerance<T>);
  // Never rounded to the storage: the scores, sums of D products in fp32, err by 1e-6.
  EXPECT_LE(relative_error(results.log_sum_exp, expected.log_sum_exp), kStorageTolerance<float>);
  EXPECT_LE(relative_error(results.dqkv, expected.dqkv), kStorageTolerance<T>);
}

/// Forward and backward.
template <typename T>
AttentionResults<T> run_attention(const runtime::AttentionShape& shape, const Tensor<T>& qkv, const Tensor<T>& dy,
                                  runtime::ConstView first_keys = {}) {
  runtime::Stream stream(device());
  runtime::Arena scratch = poisoned_attention_scratch(shape);
  AttentionResults<T> results{poisoned<T>(dy.shape), poisoned({shape.B, shape.H, shape.T}), poisoned<T>(qkv.shape)};
  attention_forward(
      stream, shape,
      {.qkv = qkv.view(), .y = results.y.view(), .log_sum_exp = results.log_sum_exp.view(), .first_keys = first_keys},
      scratch);
  attention_backward(stream, shape,
                     {.qkv = qkv.view(),
                      .y = results.y.view(),
                      .log_sum_exp = results.log_sum_exp.view(),
                      .dy = dy.view(),
                      .dqkv = results.dqkv.view(),
                      .first_keys = first_keys},
                     scratch);
  EXPECT_EQ(scratch.used_bytes(), 0);
  return results;
}

template <typename T>
Tensor<T> random_qkv(Random& random, const runtime::AttentionShape& shape) {
  return random.normals<T>({shape.B * shape.T, (shape.H + 2 * shape.K) * shape.D});
}
template <typename T>
Tensor<T> random_dy(Random& random, const runtime::AttentionShape& shape) {
  return random.normals<T>({shape.B * shape.T, shape.H * shape.D});
}

inline testing::Message described(const runtime::AttentionShape& shape) {
  const auto [B, T, H, K, D] = shape;
  return testing::Message() << "B " << B << ", T " << T << ", H " << H << ", K " << K << ", D " << D;
}

}  // namespace trireme::tests
