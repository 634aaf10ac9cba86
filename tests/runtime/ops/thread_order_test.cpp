// Kernels of elementwise ops give the same bits in whatever order a GPU runs their threads. Only for the emulation,
// which can choose it.
#include "runtime/ops/adamw.h"
#include "runtime/ops/dropout.h"
#include "runtime/ops/elementwise.h"
#include "runtime/ops/gelu.h"
#include "runtime/ops/rope.h"
#include "runtime/ops/swiglu.h"
#include "tests/reference/op_runs.h"
#include "tests/reference/thread_orders.h"

namespace trireme::runtime {
namespace {

using tests::bits_of;
using tests::expect_same_bits_in_every_order;
using tests::Random;
using tests::Tensor;

TEST(ThreadOrder, SumOfSquares) {
  Random random;
  const Tensor<float> x = random.normals({5 * 4096 + 77});
  expect_same_bits_in_every_order([&] {
    Stream stream(tests::device());
    Tensor<double> total({1}, 7);
    add_sum_of_squares(stream, x.view(), total.view(), tests::scratch());
    return bits_of(total);
  });
}

TEST(ThreadOrder, SumOfSquaresNeedsItsBarrier) {
  Random random;
  const Tensor<float> x = random.normals({4096});
  const Tensor<float> larger = random.normals({4096}, 7);
  const auto sum = [&] {
    Stream stream(tests::device());
    Tensor<double> total({1});
    // What it leaves in shared memory would otherwise be the same sums in another order, which may round equally.
    add_sum_of_squares(stream, larger.view(), total.view(), tests::scratch());
    total[0] = 0;
    add_sum_of_squares(stream, x.view(), total.view(), tests::scratch());
    return bits_of(total);
  };
  tests::expect_each_barrier_needed(sum, 1);
}

TEST(ThreadOrder, GeluInPlace) {
  Random random;
  const Tensor<bf16> x = random.normals<bf16>({9001});
  expect_same_bits_in_every_order([&] {
    Stream stream(tests::device());
    Tensor<bf16> y = x;
    gelu_forward(stream, y.view(), y.view());
    gelu_backward(stream, x.view(), y.view(), y.view());
    return bits_of(y);
  });
}

TEST(ThreadOrder, SwigluInPlace) {
  Random random;
  const Tensor<bf16> dy = random.normals<bf16>({7, 520});
  const Tensor<bf16> x = random.normals<bf16>({7, 1040});
  expect_same_bits_in_every_order([&] {
    Stream stream(tests::device());
    Tensor<bf16> dx = x;
    swiglu_backward(stream, dx.view(), dy.view(), dx.view());
    return bits_of(dx);
  });
}

TEST(ThreadOrder, RopeAndDropoutInPlace) {
  Random random;
  const AttentionShape shape = {.B = 2, .T = 9, .H = 5, .K = 2, .D = 32};
  const Tensor<float> x = random.normals({18, 9 * 32});
  const Tensor<int64_t> samples({2}, 5);
  const Tensor<int32_t> positions = random.integers({18}, 50);
  expect_same_bits_in_every_order([&] {
    Stream stream(tests::device());
    Tensor<float> table({50, 32});
    fill_rope_table(stream, 10000, table.view());
    Tensor<float> y = x;
    rope(stream, shape, {.table = table.view(), .positions = positions.view(), .qkv = y.view()});
    const DropoutRows rows{.samples = samples.view(), .T = 9};
    dropout(stream, {.seed = 3, .site = 1, .probability = 0.5f}, rows, y.view(), y.view());
    return bits_of(y);
  });
}

TEST(ThreadOrder, AdamWOfInitialWeights) {
  expect_same_bits_in_every_order([&] {
    Stream stream(tests::device());
    constexpr int64_t kCount = 5003;
    Tensor<float> parameter({kCount}), gradient({kCount}), m({kCount}), v({kCount}, 0.5f), schedule({4}, 0.5f);
    fill_normal(stream, {.seed = 1}, 1, parameter.view());
    fill_normal(stream, {.seed = 2}, 2, gradient.view());
    adamw_update(stream, {.weight_decay = 0.1f},
                 {.parameter = parameter.view(),
                  .gradient = gradient.view(),
                  .m = m.view(),
                  .v = v.view(),
                  .schedule = std::as_const(schedule).view()});
    return bits_of(parameter);
  });
}

}  // namespace
}  // namespace trireme::runtime
