// Kernels of elementwise ops give the same bits in whatever order a GPU runs their threads. Only for the emulation,
// which can choose it.
#include <functional>

#include "runtime/ops/adamw.h"
#include "runtime/ops/dropout.h"
#include "runtime/ops/elementwise.h"
#include "runtime/ops/gelu.h"
#include "runtime/ops/rope.h"
#include "runtime/ops/swiglu.h"
#include "tests/emulation/emulation.h"
#include "tests/reference/op_runs.h"

namespace trireme::runtime {
namespace {

using tests::Random;
using tests::same_bits;
using tests::Tensor;

/// `run` fills a new output; it is called under every order, which is forward again afterwards.
template <typename T>
void expect_same_bits(const std::function<Tensor<T>(Stream&)>& run) {
  Stream stream(tests::device());
  const Tensor<T> forward = run(stream);
  emulation::set_thread_order(emulation::ThreadOrder::reverse);
  EXPECT_TRUE(same_bits(run(stream), forward)) << "reverse";
  for (const uint64_t seed : {1, 2, 3}) {
    emulation::set_thread_order(emulation::ThreadOrder::shuffled, seed);
    EXPECT_TRUE(same_bits(run(stream), forward)) << "shuffled by " << seed;
  }
  emulation::set_thread_order(emulation::ThreadOrder::forward);
}

TEST(ThreadOrder, SumOfSquares) {
  Random random;
  const Tensor<float> x = random.normals({5 * 4096 + 77});
  expect_same_bits<double>([&](Stream& stream) {
    Tensor<double> total({1}, 7);
    add_sum_of_squares(stream, x.view(), total.view(), tests::scratch());
    return total;
  });
}

// The barrier left out shows in one of the orders: so the test above could find it.
TEST(ThreadOrder, SumOfSquaresNeedsItsBarrier) {
  Random random;
  Stream stream(tests::device());
  const Tensor<float> x = random.normals({4096});
  const Tensor<float> larger = random.normals({4096}, 7);
  const auto sum = [&] {
    Tensor<double> total({1});
    // What it leaves in shared memory would otherwise be the same sums in another order, which may round equally.
    add_sum_of_squares(stream, larger.view(), total.view(), tests::scratch());
    total[0] = 0;
    add_sum_of_squares(stream, x.view(), total.view(), tests::scratch());
    return total[0];
  };
  emulation::forget_barriers();
  const double expected = sum();
  const std::vector<std::string> sites = emulation::barrier_sites();
  EXPECT_EQ(sites.size(), 1u);
  for (const std::string& site : sites) {
    emulation::ignore_barrier(site);
    bool shows = false;
    for (const auto order : {emulation::ThreadOrder::forward, emulation::ThreadOrder::reverse}) {
      emulation::set_thread_order(order);
      shows = shows || sum() != expected;
    }
    EXPECT_TRUE(shows) << site;
  }
  emulation::ignore_barrier("");
  emulation::set_thread_order(emulation::ThreadOrder::forward);
}

TEST(ThreadOrder, GeluInPlace) {
  Random random;
  const Tensor<bf16> x = random.normals<bf16>({9001});
  expect_same_bits<bf16>([&](Stream& stream) {
    Tensor<bf16> y = x;
    gelu_forward(stream, y.view(), y.view());
    gelu_backward(stream, x.view(), y.view(), y.view());
    return y;
  });
}

TEST(ThreadOrder, SwigluInPlace) {
  Random random;
  const Tensor<bf16> dy = random.normals<bf16>({7, 520});
  const Tensor<bf16> x = random.normals<bf16>({7, 1040});
  expect_same_bits<bf16>([&](Stream& stream) {
    Tensor<bf16> dx = x;
    swiglu_backward(stream, dx.view(), dy.view(), dx.view());
    return dx;
  });
}

TEST(ThreadOrder, RopeAndDropoutInPlace) {
  Random random;
  const AttentionShape shape = {.B = 2, .T = 9, .H = 5, .K = 2, .D = 32};
  const Tensor<float> x = random.normals({18, 9 * 32});
  const Tensor<int64_t> samples({2}, 5);
  const Tensor<int32_t> positions = random.integers({18}, 50);
  expect_same_bits<float>([&](Stream& stream) {
    Tensor<float> table({50, 32});
    fill_rope_table(stream, 10000, table.view());
    Tensor<float> y = x;
    rope(stream, shape, {.table = table.view(), .positions = positions.view(), .qkv = y.view()});
    const View sequences = y.view().reshaped({2, 9, 9 * 32});
    dropout(stream, {.seed = 3, .site = 1, .probability = 0.5f}, samples.view(), sequences, sequences);
    return y;
  });
}

TEST(ThreadOrder, AdamWOfInitialWeights) {
  expect_same_bits<float>([&](Stream& stream) {
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
    return parameter;
  });
}

}  // namespace
}  // namespace trireme::runtime
