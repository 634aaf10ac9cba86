// The norms' kernels under other orders of threads, which only the emulation of a GPU has: a result that depends on one
// is a race.
#include "runtime/ops/layer_norm.h"
#include "runtime/ops/norm_rows_cuda.cuh"
#include "runtime/ops/rms_norm.h"
#include "tests/reference/op_runs.h"
#include "tests/reference/thread_orders.h"

namespace trireme::runtime {
namespace {

using tests::poisoned;
using tests::Tensor;

/// Both norms forward and backward.
template <typename T>
tests::Bits outputs_of(int64_t N, int64_t C) {
  std::mt19937_64 engine(3);  // the same operands in every call
  const auto normals = [&]<typename U>(U, Shape shape) {
    Tensor<U> tensor(shape);
    for (U& value : tensor.values) value = std::normal_distribution<float>()(engine);
    return tensor;
  };
  const Tensor<T> x = normals(T(), {N, C});
  const Tensor<T> more = normals(T(), {N, C});
  const Tensor<T> weight = normals(T(), {C});
  Tensor<T> sum = poisoned<T>({N, C}), y = sum, dx = sum, rms_y = sum, rms_dx = sum;
  Tensor<float> mean = poisoned({N}), rstd = mean, rms_rstd = mean;
  Tensor<float> dweight = normals(float(), {C}), dbias = dweight, rms_dweight = dweight;
  Stream stream(tests::device());
  layer_norm_forward(stream, {.residual = x.view(),
                              .branch = more.view(),
                              .weight = weight.view(),
                              .bias = weight.view(),
                              .sum = sum.view(),
                              .y = y.view(),
                              .mean = mean.view(),
                              .rstd = rstd.view()});
  layer_norm_backward(stream,
                      {.dy = more.view(),
                       .sum = sum.view(),
                       .weight = weight.view(),
                       .mean = mean.view(),
                       .rstd = rstd.view(),
                       .dresidual = x.view(),
                       .dx = dx.view(),
                       .dweight = dweight.view(),
                       .dbias = dbias.view()},
                      tests::scratch());
  rms_norm_forward(stream, {.residual = x.view(), .weight = weight.view(), .y = rms_y.view(), .rstd = rms_rstd.view()});
  rms_norm_backward(stream,
                    {.dy = more.view(),
                     .sum = x.view(),
                     .weight = weight.view(),
                     .rstd = rms_rstd.view(),
                     .dresidual = more.view(),
                     .dx = rms_dx.view(),
                     .dweight = rms_dweight.view()},
                    tests::scratch());
  return tests::bits_of(sum, y, dx, rms_y, rms_dx, mean, rstd, rms_rstd, dweight, dbias, rms_dweight);
}

// Rows of a warp with 8 of them a block, of several warps with some of them a block, of 16 warps, not aligned, long.
TEST(NormThreadOrders, GiveTheSameBits) {
  for (const auto& [N, C] :
       {std::pair<int64_t, int64_t>{40, 64}, {1100, 8}, {13, 1600}, {3, 8192}, {5, 37}, {2, 16392}}) {
    SCOPED_TRACE(testing::Message() << "N " << N << ", C " << C);
    tests::expect_same_bits_in_every_order([&] { return outputs_of<float>(N, C); });
    tests::expect_same_bits_in_every_order([&] { return outputs_of<bf16>(N, C); });
  }
}

// Vectors of 16 bytes that a warp's 32 threads take in turn: no more places than needed, and two rounds at least.
TEST(NormRowPlan, MoreWarpsWhereALastRoundIsNearlyEmpty) {
  const auto warps = [](int64_t C, int vectors_a_thread) {
    return cuda::plan_rows<bf16>(C, vectors_a_thread, true).warps;
  };
  constexpr int kBackward = 3;
  EXPECT_EQ(warps(1600, kBackward), 4);  // 200 vectors: 2 rounds of 128 places rather than 3 of 96
  EXPECT_EQ(warps(768, kBackward), 1);
  EXPECT_EQ(warps(1024, kBackward), 2);
  EXPECT_EQ(warps(1280, kBackward), 2);
  EXPECT_EQ(warps(8, kBackward), 1);
  EXPECT_EQ(warps(16 * 3 * 256, kBackward), 16);
  constexpr int kForward = 4;
  EXPECT_EQ(warps(768, kForward), 1);
  EXPECT_EQ(warps(1024, kForward), 1);
  EXPECT_EQ(warps(1280, kForward), 2);
  EXPECT_EQ(warps(1600, kForward), 2);
  for (const int vectors_a_thread : {kBackward, kForward}) {
    for (int64_t C = 8; C <= 16 * 256 * vectors_a_thread + 8; C += 8) {
      const cuda::RowPlan plan = cuda::plan_rows<bf16>(C, vectors_a_thread, true);
      EXPECT_EQ(plan.held, C <= 16 * 256 * vectors_a_thread) << C;
      EXPECT_LE(plan.warps, 16) << C;
      EXPECT_TRUE(!plan.held || plan.warps * vectors_a_thread * 256 >= C) << C;
    }
  }
}

// That of sums over a row, and four of the backward pass.
TEST(NormThreadOrders, EachBarrierIsNeeded) {
  tests::expect_each_barrier_needed([] { return outputs_of<float>(1100, 392) + outputs_of<float>(3, 1601); }, 5);
}

}  // namespace
}  // namespace trireme::runtime
