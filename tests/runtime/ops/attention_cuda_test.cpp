// What the plain attention kernels of the GPU have beyond the tests that they share with the CPU's: two paths of
// access, heads wider than a tile, any order of threads. For the emulation, which can choose the order.
#include "runtime/ops/attention_cuda.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/ops/attention_delta_cuda.h"
#include "tests/reference/attention.h"
#include "tests/reference/attention_runs.h"
#include "tests/reference/op_runs.h"
#include "tests/reference/thread_orders.h"

namespace trireme::runtime {
namespace {

using tests::AttentionResults;
using tests::kStorageTolerance;
using tests::Misaligned;
using tests::poisoned;
using tests::Random;
using tests::random_dy;
using tests::random_qkv;
using tests::relative_error;
using tests::run_attention;
using tests::same_bits;
using tests::Tensor;

template <typename T>
class AttentionOnCuda : public testing::Test {};
using Storages = testing::Types<float, bf16>;
TYPED_TEST_SUITE(AttentionOnCuda, Storages);

/// Caches of `past` random tokens, then new ones.
template <typename T>
struct CachedCall {
  AttentionShape shape;
  int64_t past;
  Tensor<T> qkv;
  Tensor<T> key_cache;
  Tensor<T> value_cache;

  CachedCall(Random& random, const AttentionShape& new_tokens, int64_t past_tokens)
      : shape(new_tokens),
        past(past_tokens),
        qkv(random_qkv<T>(random, new_tokens)),
        key_cache(random.normals<T>({shape.B, past + shape.T + 3, shape.K, shape.D})),
        value_cache(random.normals<T>(key_cache.shape)) {}

  Tensor<T> run() {
    Stream stream(Device::cuda);
    Tensor<T> y = poisoned<T>({shape.B * shape.T, shape.H * shape.D});
    cached_attention(stream, shape, {qkv.view(), key_cache.view(), value_cache.view(), past, y.view()},
                     tests::scratch());
    return y;
  }
};

TYPED_TEST(AttentionOnCuda, OrdersOfThreadsDoNotChangeABit) {
  Random random;
  for (const AttentionShape shape : {AttentionShape{.B = 1, .T = 130, .H = 2, .K = 1, .D = 72},
                                     AttentionShape{.B = 2, .T = 70, .H = 2, .K = 2, .D = 64}}) {
    SCOPED_TRACE(tests::described(shape));
    const Tensor<TypeParam> qkv = random_qkv<TypeParam>(random, shape);
    const Tensor<TypeParam> dy = random_dy<TypeParam>(random, shape);
    Tensor<int32_t> first_keys({shape.B * shape.T});
    for (int64_t i = 0; i < first_keys.size(); ++i) first_keys[i] = i % shape.T < 66 ? 0 : 66;
    tests::expect_same_bits_in_every_order([&] { return bits_of(run_attention(shape, qkv, dy, first_keys.view())); });
  }
  for (const int64_t tokens : {2, 20}) {
    SCOPED_TRACE(tokens);
    CachedCall<TypeParam> call(random, {.B = 2, .T = tokens, .H = 4, .K = 2, .D = 40}, 150);
    tests::expect_same_bits_in_every_order([&] { return tests::bits_of(call.run()); });
  }
}

// Rows that cannot be read 16 bytes at a time take other accesses to the same sums.
TYPED_TEST(AttentionOnCuda, MisalignedOperandsGiveTheSameBits) {
  Random random;
  const AttentionShape shape{.B = 1, .T = 67, .H = 2, .K = 1, .D = 72};
  const Tensor<TypeParam> qkv = random_qkv<TypeParam>(random, shape);
  const Tensor<TypeParam> dy = random_dy<TypeParam>(random, shape);
  const AttentionResults<TypeParam> expected = run_attention(shape, qkv, dy);

  Stream stream(Device::cuda);
  Misaligned<TypeParam> off_qkv(qkv);
  Misaligned<TypeParam> off_dy(dy);
  Misaligned<TypeParam> y(poisoned<TypeParam>(dy.shape));
  Misaligned<TypeParam> dqkv(poisoned<TypeParam>(qkv.shape));
  Misaligned<float> log_sum_exp(poisoned(expected.log_sum_exp.shape));
  attention_forward(stream, shape, {off_qkv.view(), y.view(), log_sum_exp.view()}, tests::scratch());
  attention_backward(stream, shape, {off_qkv.view(), y.view(), log_sum_exp.view(), off_dy.view(), dqkv.view()},
                     tests::scratch());
  expect_same_bits({y.tensor(), log_sum_exp.tensor(), dqkv.tensor()}, expected);

  for (const int64_t tokens : {1, 16}) {
    CachedCall<TypeParam> call(random, {.B = 2, .T = tokens, .H = 2, .K = 1, .D = 40}, 70);
    Misaligned<TypeParam> keys(call.key_cache);
    Misaligned<TypeParam> values(call.value_cache);
    const Tensor<TypeParam> cached = call.run();
    Tensor<TypeParam> off = poisoned<TypeParam>(cached.shape);
    cached_attention(stream, call.shape, {call.qkv.view(), keys.view(), values.view(), call.past, off.view()},
                     tests::scratch());
    EXPECT_TRUE(same_bits(off, cached)) << tokens;
    EXPECT_TRUE(same_bits(keys.tensor(), call.key_cache)) << tokens;
    EXPECT_TRUE(same_bits(values.tensor(), call.value_cache)) << tokens;
  }
}

// The widths of the tensor-core kernels, which read and write 16 bytes at a time: one operand off needs others.
TEST(AttentionOnCudaBf16, OneMisalignedOperandOfTensorCoreWidthsMatchesFloat64) {
  Random random;
  for (const int64_t D : {64, 128}) {
    const AttentionShape shape{.B = 1, .T = 35, .H = 2, .K = 1, .D = D};
    const Tensor<bf16> qkv = random_qkv<bf16>(random, shape);
    const Tensor<bf16> dy = random_dy<bf16>(random, shape);
    const tests::AttentionReference expected =
        tests::attention_reference(shape, tests::to_double(qkv), tests::to_double(dy));
    Misaligned<bf16> off_qkv(qkv);
    Misaligned<bf16> off_dy(dy);
    for (int off = 0; off < 4; ++off) {
      SCOPED_TRACE(testing::Message() << "D " << D << ", operand " << off);
      Tensor<bf16> y = poisoned<bf16>(dy.shape);
      Tensor<bf16> dqkv = poisoned<bf16>(qkv.shape);
      Misaligned<bf16> off_y(y);
      Misaligned<bf16> off_dqkv(dqkv);
      Tensor<float> log_sum_exp = poisoned({1, 2, 35});
      const ConstView given = off == 0 ? off_qkv.view() : qkv.view();
      const ConstView of_dy = off == 1 ? off_dy.view() : dy.view();
      const View of_y = off == 2 ? off_y.view() : y.view();
      const View of_dqkv = off == 3 ? off_dqkv.view() : dqkv.view();
      Stream stream(Device::cuda);
      attention_forward(stream, shape, {given, of_y, log_sum_exp.view()}, tests::scratch());
      attention_backward(stream, shape, {given, of_y, log_sum_exp.view(), of_dy, of_dqkv}, tests::scratch());
      EXPECT_LE(relative_error(off == 2 ? off_y.tensor() : y, expected.y), kStorageTolerance<bf16>);
      EXPECT_LE(relative_error(off == 3 ? off_dqkv.tensor() : dqkv, expected.dqkv), kStorageTolerance<bf16>);
    }
  }
}

// Three and five chunks of columns, whole and not; the last width is more than the kernel of single queries holds.
TYPED_TEST(AttentionOnCuda, WideHeadsMatchFloat64) {
  Random random;
  for (const int64_t D : {192, 250, 256, 264}) {
    const AttentionShape shape{.B = 1, .T = 66, .H = 2, .K = 1, .D = D};
    SCOPED_TRACE(tests::described(shape));
    const Tensor<TypeParam> qkv = random_qkv<TypeParam>(random, shape);
    const Tensor<TypeParam> dy = random_dy<TypeParam>(random, shape);
    const tests::AttentionReference expected =
        tests::attention_reference(shape, tests::to_double(qkv), tests::to_double(dy));
    expect_matches(run_attention(shape, qkv, dy), expected);

    // The last token once more, behind the others.
    const int64_t row = qkv.shape[1];
    Tensor<TypeParam> last({1, row});
    std::copy_n(&qkv[65 * row], row, &last[0]);
    Tensor<TypeParam> key_cache({1, 66, 1, D});
    Tensor<TypeParam> value_cache({1, 66, 1, D});
    for (int64_t t = 0; t < 65; ++t) {
      std::copy_n(&qkv[t * row + 2 * D], D, &key_cache[t * D]);
      std::copy_n(&qkv[t * row + 3 * D], D, &value_cache[t * D]);
    }
    Stream stream(Device::cuda);
    Tensor<TypeParam> y = poisoned<TypeParam>({1, 2 * D});
    cached_attention(stream, {.B = 1, .T = 1, .H = 2, .K = 1, .D = D},
                     {last.view(), key_cache.view(), value_cache.view(), 65, y.view()}, tests::scratch());
    EXPECT_LE(relative_error(y, std::span(expected.y).subspan(65 * 2 * D)), kStorageTolerance<TypeParam>);
  }
}

// Widths around 16-byte vectors, warps of them, and rows around blocks.
TYPED_TEST(AttentionOnCuda, DeltaIsTheSumOfProducts) {
  Random random;
  const CudaQueuePointer queue = cuda::open_queue();
  for (const int64_t D : {1, 3, 4, 7, 8, 9, 33, 64, 127, 128, 256, 300}) {
    for (const int64_t off : {0, 1}) {
      const AttentionShape shape{.B = 2, .T = 11, .H = 3, .K = 1, .D = D};
      const Tensor<TypeParam> y = random.normals<TypeParam>({66 * 3 * D + 1});
      const Tensor<TypeParam> dy = random.normals<TypeParam>({66 * 3 * D + 1});
      Tensor<float> delta = poisoned({2, 3, 11});
      const ConstView of_y = y.view().range(off, {22, 3 * D});
      const ConstView of_dy = dy.view().range(off, {22, 3 * D});
      cuda::attention_delta(*queue, shape, of_y, of_dy, delta.view());
      cuda::wait(*queue);
      std::vector<double> expected(66);
      for (int64_t row = 0; row < 66; ++row) {
        double sum = 0;
        for (int64_t d = 0; d < D; ++d) {
          sum += static_cast<double>(of_y.as<TypeParam>()[row * D + d]) * of_dy.as<TypeParam>()[row * D + d];
        }
        expected[static_cast<size_t>((row / 33 * 3 + row % 3) * 11 + row / 3 % 11)] = sum;
      }
      // Products in fp32 of whatever storage.
      EXPECT_LE(relative_error(delta, expected), 1e-5) << "D " << D << " off " << off;
    }
  }
}

// Two in each of three kernels by tiles, two in that of single queries.
TEST(AttentionBarriers, NoneIsInVain) {
  Random random;
  const AttentionShape shape{.B = 1, .T = 70, .H = 2, .K = 1, .D = 72};
  const Tensor<float> qkv = random_qkv<float>(random, shape);
  const Tensor<float> dy = random_dy<float>(random, shape);
  CachedCall<float> call(random, {.B = 1, .T = 2, .H = 2, .K = 1, .D = 40}, 150);
  tests::expect_each_barrier_needed([&] { return bits_of(run_attention(shape, qkv, dy)) + tests::bits_of(call.run()); },
                                    8);
}

}  // namespace
}  // namespace trireme::runtime
