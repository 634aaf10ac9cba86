#include "runtime/ops/linear.h"

#include <gtest/gtest.h>

#include "tests/reference/gelu.h"
#include "tests/reference/op_runs.h"
#include "tests/reference/product.h"
#include "tests/reference/tensors.h"

namespace trireme::runtime {
namespace {

using tests::poisoned;
using tests::product_reference;
using tests::Random;
using tests::relative_error;
using tests::Tensor;

// fp32 sums of k products round to about sqrt(k) * 6e-8 of their norm; k is below 1,000 here.
constexpr double kTolerance = 1e-5;

/// For panels; empty between calls.
Arena& scratch() {
  static Arena arena = Arena::host("scratch", int64_t{1} << 27);
  return arena;
}

struct Sizes {
  int64_t N;
  int64_t C_in;
  int64_t C_out;
};
std::ostream& operator<<(std::ostream& out, const Sizes& sizes) {
  return out << "N" << sizes.N << "_in" << sizes.C_in << "_out" << sizes.C_out;
}

class Linear : public testing::TestWithParam<Sizes> {};

TEST_P(Linear, ForwardMatchesFloat64WithEveryEpilogue) {
  const auto [N, C_in, C_out] = GetParam();
  Random random;
  Stream stream(Device::cpu);
  const Tensor<float> x = random.normals({N, C_in});
  const Tensor<float> weight = random.normals({C_out, C_in}, 0.1f);
  const Tensor<float> bias = random.normals({C_out});
  std::vector<double> expected = product_reference(N, C_out, C_in, {x.values, C_in, 1}, {weight.values, 1, C_in});

  Tensor<float> y = poisoned({N, C_out});
  linear_forward(stream, {.x = x.view(), .weight = weight.view(), .y = y.view()}, scratch());
  EXPECT_LE(relative_error(y, expected), kTolerance);

  for (int64_t i = 0; i < N * C_out; ++i) expected[static_cast<size_t>(i)] += bias[i % C_out];
  y = poisoned({N, C_out});
  linear_forward(
      stream, {.x = x.view(), .weight = weight.view(), .bias = bias.view(), .epilogue = Epilogue::bias, .y = y.view()},
      scratch());
  EXPECT_LE(relative_error(y, expected), kTolerance);

  y = poisoned({N, C_out});
  Tensor<float> pre_activation = poisoned({N, C_out});
  linear_forward(stream,
                 {.x = x.view(),
                  .weight = weight.view(),
                  .bias = bias.view(),
                  .epilogue = Epilogue::bias_gelu,
                  .y = y.view(),
                  .pre_activation = pre_activation.view()},
                 scratch());
  EXPECT_LE(relative_error(pre_activation, expected), kTolerance);
  for (double& value : expected) value = tests::gelu_reference(value);
  EXPECT_LE(relative_error(y, expected), kTolerance);
}

TEST_P(Linear, BackwardMatchesFloat64AndAccumulatesWeights) {
  const auto [N, C_in, C_out] = GetParam();
  Random random;
  Stream stream(Device::cpu);
  const Tensor<float> x = random.normals({N, C_in});
  const Tensor<float> weight = random.normals({C_out, C_in}, 0.1f);
  const Tensor<float> dy = random.normals({N, C_out});

  Tensor<float> dx = poisoned({N, C_in});
  linear_backward_input(stream, dy.view(), weight.view(), dx.view(), scratch());
  EXPECT_LE(relative_error(dx, product_reference(N, C_in, C_out, {dy.values, C_out, 1}, {weight.values, C_in, 1})),
            kTolerance);

  Tensor<float> dweight = random.normals({C_out, C_in});
  Tensor<float> dbias({C_out}, 50.0f);  // far from 0: a single sum of either sign may cancel to nothing
  std::vector<double> dbias_expected = tests::to_double(dbias);
  std::vector<double> dweight_expected = product_reference(C_out, C_in, N, {dy.values, 1, C_out}, {x.values, C_in, 1});
  for (int64_t i = 0; i < dweight.size(); ++i) dweight_expected[static_cast<size_t>(i)] += dweight[i];
  for (int64_t i = 0; i < N * C_out; ++i) dbias_expected[static_cast<size_t>(i % C_out)] += dy[i];
  Tensor<float> dweight_alone = dweight;
  linear_backward_weight(stream, dy.view(), x.view(), dweight.view(), dbias.view(), scratch());
  EXPECT_LE(relative_error(dweight, dweight_expected), kTolerance);
  EXPECT_LE(relative_error(dbias, dbias_expected), kTolerance);
  linear_backward_weight(stream, dy.view(), x.view(), dweight_alone.view(), View(), scratch());
  EXPECT_EQ(dweight_alone.values, dweight.values);
}

INSTANTIATE_TEST_SUITE_P(Sizes, Linear,
                         testing::Values(Sizes{3, 1, 5}, Sizes{1, 64, 257}, Sizes{2, 33, 130}, Sizes{5, 40, 7},
                                         Sizes{8, 50, 66}, Sizes{9, 50, 66}, Sizes{64, 128, 384}, Sizes{131, 77, 65},
                                         Sizes{300, 48, 1}),
                         testing::PrintToStringParamName());

TEST(LinearThreads, BiasAndItsGradientDoNotDependOnThem) {
  Random random;
  Stream stream(Device::cpu);
  constexpr int64_t N = 517;
  constexpr int64_t C_out = 403;
  // Width 1 makes the product exact, so that what is compared is ours and not how OpenBLAS cuts its work.
  const Tensor<float> x = random.normals({N, 1});
  const Tensor<float> weight = random.normals({C_out, 1});
  const Tensor<float> bias = random.normals({C_out});
  const Tensor<float> dy = random.normals({N, C_out});
  std::vector<std::vector<float>> outputs;
  for (const int threads : {1, 2, 3}) {
    const tests::Threads guard(threads);
    EXPECT_EQ(compute_threads(), threads);
    Tensor<float> y = poisoned({N, C_out});
    Tensor<float> pre_activation = poisoned({N, C_out});
    Tensor<float> dweight({C_out, 1});
    Tensor<float> dbias({C_out});
    linear_forward(stream,
                   {.x = x.view(),
                    .weight = weight.view(),
                    .bias = bias.view(),
                    .epilogue = Epilogue::bias_gelu,
                    .y = y.view(),
                    .pre_activation = pre_activation.view()},
                   scratch());
    linear_backward_weight(stream, dy.view(), x.view(), dweight.view(), dbias.view(), scratch());
    outputs.push_back(y.values);
    outputs.push_back(dbias.values);
  }
  for (size_t i = 2; i < outputs.size(); ++i) EXPECT_EQ(outputs[i], outputs[i - 2]) << i;
}

TEST(LinearCost, DryStreamStatesTheSameAsCpu) {
  Stream cpu(Device::cpu);
  Stream dry(Device::dry);
  Tensor<float> x({5, 8});
  Tensor<float> weight({3, 8});
  Tensor<float> bias({3});
  Tensor<float> y({5, 3});
  Tensor<float> pre({5, 3});
  linear_forward(cpu, {x.view(), weight.view(), bias.view(), Epilogue::bias_gelu, y.view(), pre.view()}, scratch());
  linear_backward_input(cpu, y.view(), weight.view(), x.view(), scratch());
  linear_backward_weight(cpu, y.view(), x.view(), weight.view(), bias.view(), scratch());
  const View dx = tests::dry_view({5, 8});
  const View dw = tests::dry_view({3, 8});
  const View db = tests::dry_view({3});
  const View dy = tests::dry_view({5, 3});
  linear_forward(dry, {dx, dw, db, Epilogue::bias_gelu, dy, dy}, scratch());
  linear_backward_input(dry, dy, dw, dx, scratch());
  linear_backward_weight(dry, dy, dx, dw, db, scratch());
  EXPECT_EQ(cpu.costs().by_op(), dry.costs().by_op());
  const auto& costs = dry.costs().by_op();
  EXPECT_EQ(costs.at("linear_forward"), (CostRecord::Total{1, 2 * 5 * 8 * 3, 4 * (40 + 24 + 3 + 15 + 15)}));
  EXPECT_EQ(costs.at("linear_backward_input"), (CostRecord::Total{1, 2 * 5 * 8 * 3, 4 * (15 + 24 + 40)}));
  EXPECT_EQ(costs.at("linear_backward_weight"), (CostRecord::Total{1, 2 * 5 * 8 * 3, 4 * (15 + 40 + 48 + 6)}));
}

TEST(LinearShapes, WrongOnesNameTheOperand) {
  Stream stream(Device::dry);
  const View x = tests::dry_view({5, 8});
  const View weight = tests::dry_view({3, 8});
  const View y = tests::dry_view({5, 3});
  const View bias = tests::dry_view({3});
  EXPECT_EQ(tests::error_message([&] {
              linear_forward(stream, {.x = x, .weight = tests::dry_view({8, 3}), .y = y}, scratch());
            }),
            "linear_forward: weight is (8, 3) fp32, expected (8, 8) fp32");
  EXPECT_EQ(tests::error_message([&] { linear_forward(stream, {.x = bias, .weight = weight, .y = y}, scratch()); }),
            "linear_forward: x is (3), expected (N, C_in)");
  EXPECT_EQ(tests::error_message(
                [&] { linear_forward(stream, {.x = x, .weight = weight, .bias = bias, .y = y}, scratch()); }),
            "linear_forward: bias is (3) fp32, expected () fp32");
  EXPECT_EQ(tests::error_message([&] {
              linear_forward(stream, {.x = x, .weight = weight, .bias = bias, .epilogue = Epilogue::bias_gelu, .y = y},
                             scratch());
            }),
            "linear_forward: pre_activation is () fp32, expected (5, 3) fp32");
  EXPECT_EQ(tests::error_message([&] { linear_backward_input(stream, y, weight, y, scratch()); }),
            "linear_backward_input: dx is (5, 3) fp32, expected (5, 8) fp32");
  EXPECT_EQ(
      tests::error_message([&] { linear_backward_weight(stream, y, x, weight, tests::dry_view({8}), scratch()); }),
      "linear_backward_weight: dbias is (8) fp32, expected (3) fp32");
}

}  // namespace
}  // namespace trireme::runtime
