#include "runtime/ops/linear.h"

#include <gtest/gtest.h>

#include <cmath>

#include "runtime/ops/gelu.h"
#include "tests/reference/gelu.h"
#include "tests/reference/op_runs.h"
#include "tests/reference/product.h"
#include "tests/reference/tensors.h"

namespace trireme::runtime {
namespace {

using tests::Factor;
using tests::kStorageTolerance;
using tests::poisoned;
using tests::product_reference;
using tests::Random;
using tests::relative_error;
using tests::Tensor;

/// For panels, or the workspace of a GPU's products; empty between calls.
Arena& scratch() {
  static Arena arena = tests::shared_arena("scratch", int64_t{1} << 26);
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

// A few rows (decoding) and more; odd widths; each axis just longer than a block of 1,024; a vocabulary.
constexpr Sizes kSizes[] = {{1, 64, 257},   {2, 33, 130},   {3, 1, 5},      {5, 40, 7},      {8, 50, 66},
                            {9, 50, 66},    {64, 128, 384}, {131, 77, 65},  {300, 48, 1},    {1, 5, 50257},
                            {1025, 19, 33}, {21, 1030, 35}, {11, 3, 50257}, {1025, 1, 1030}, {17, 1041, 1050},
                            {1, 1, 1},      {1100, 1027, 9}};

/// Sizes that only tell blocks of the CPU's products apart: the emulation of a GPU takes seconds for each, timing every
/// algorithm.
bool too_slow(const Sizes& sizes) {
  return tests::is_emulated() && sizes.N * sizes.C_in * sizes.C_out > 2'000'000;
}

template <typename T>
class Linear : public testing::Test {};
using Storages = testing::Types<float, bf16>;
TYPED_TEST_SUITE(Linear, Storages);

template <typename T>
std::vector<double> forward_reference(const Tensor<T>& x, const Tensor<T>& weight) {
  const int64_t C_in = x.shape[1];
  return product_reference(x.shape[0], weight.shape[0], C_in, Factor<T>{x.values, C_in, 1},
                           Factor<T>{weight.values, 1, C_in});
}

TYPED_TEST(Linear, ForwardMatchesFloat64WithEveryEpilogue) {
  using T = TypeParam;
  Random random;
  Stream stream(tests::device());
  for (const Sizes& sizes : kSizes) {
    if (too_slow(sizes)) continue;
    SCOPED_TRACE(testing::PrintToString(sizes));
    const auto [N, C_in, C_out] = sizes;
    const auto x = random.normals<T>({N, C_in});
    const auto weight = random.normals<T>({C_out, C_in}, 0.1f);
    const auto bias = random.normals<T>({C_out});
    std::vector<double> expected = forward_reference(x, weight);

    auto y = poisoned<T>({N, C_out});
    linear_forward(stream, {.x = x.view(), .weight = weight.view(), .y = y.view()}, scratch());
    EXPECT_LE(relative_error(y, expected), kStorageTolerance<T>);

    for (int64_t i = 0; i < N * C_out; ++i) expected[static_cast<size_t>(i)] += bias[i % C_out];
    y = poisoned<T>({N, C_out});
    LinearForward args{
        .x = x.view(), .weight = weight.view(), .bias = bias.view(), .epilogue = Epilogue::bias, .y = y.view()};
    linear_forward(stream, args, scratch());
    EXPECT_LE(relative_error(y, expected), kStorageTolerance<T>);

    y = poisoned<T>({N, C_out});
    auto pre_activation = poisoned<T>({N, C_out});
    args.y = y.view();
    args.epilogue = Epilogue::bias_gelu;
    args.pre_activation = pre_activation.view();
    linear_forward(stream, args, scratch());
    EXPECT_LE(relative_error(pre_activation, expected), kStorageTolerance<T>);
    // Of the stored value: where gelu is steep, its rounding shows in y beside that of y itself.
    for (int64_t i = 0; i < N * C_out; ++i) {
      expected[static_cast<size_t>(i)] = tests::gelu_reference(pre_activation[i]);
    }
    EXPECT_LE(relative_error(y, expected), kStorageTolerance<T>);
  }
}

TYPED_TEST(Linear, EpilogueIsGeluForwardOfTheSavedInputToTheBit) {
  using T = TypeParam;
  Random random;
  Stream stream(tests::device());
  for (const Sizes& sizes : {Sizes{3, 40, 77}, Sizes{8, 21, 130}, Sizes{129, 40, 77}, Sizes{1025, 3, 1030}}) {
    SCOPED_TRACE(testing::PrintToString(sizes));
    const auto [N, C_in, C_out] = sizes;
    const auto x = random.normals<T>({N, C_in});
    const auto weight = random.normals<T>({C_out, C_in});
    const auto bias = random.normals<T>({C_out});
    auto y = poisoned<T>({N, C_out});
    auto pre_activation = poisoned<T>({N, C_out});
    linear_forward(stream,
                   {.x = x.view(),
                    .weight = weight.view(),
                    .bias = bias.view(),
                    .epilogue = Epilogue::bias_gelu,
                    .y = y.view(),
                    .pre_activation = pre_activation.view()},
                   scratch());
    auto recomputed = poisoned<T>({N, C_out});
    gelu_forward(stream, pre_activation.view(), recomputed.view());
    EXPECT_TRUE(tests::same_bits(y, recomputed));
  }
}

TYPED_TEST(Linear, BackwardMatchesFloat64AndAccumulatesWeights) {
  using T = TypeParam;
  Random random;
  Stream stream(tests::device());
  for (const Sizes& sizes : kSizes) {
    if (too_slow(sizes)) continue;
    SCOPED_TRACE(testing::PrintToString(sizes));
    const auto [N, C_in, C_out] = sizes;
    const auto x = random.normals<T>({N, C_in});
    const auto weight = random.normals<T>({C_out, C_in}, 0.1f);
    const auto dy = random.normals<T>({N, C_out});

    auto dx = poisoned<T>({N, C_in});
    linear_backward_input(stream, dy.view(), weight.view(), dx.view(), scratch());
    EXPECT_LE(relative_error(dx, product_reference(N, C_in, C_out, Factor<T>{dy.values, C_out, 1},
                                                   Factor<T>{weight.values, C_in, 1})),
              kStorageTolerance<T>);

    // Gradients of parameters are fp32 in both storages, and so is their error.
    Tensor<float> dweight = random.normals({C_out, C_in});
    // Six deviations of the sum from 0: a single one of either sign may cancel to nothing.
    Tensor<float> dbias({C_out}, static_cast<float>(6 * std::sqrt(static_cast<double>(N))));
    std::vector<double> dbias_expected = tests::to_double(dbias);
    std::vector<double> dweight_expected =
        product_reference(C_out, C_in, N, Factor<T>{dy.values, 1, C_out}, Factor<T>{x.values, C_in, 1});
    for (int64_t i = 0; i < dweight.size(); ++i) dweight_expected[static_cast<size_t>(i)] += dweight[i];
    for (int64_t i = 0; i < N * C_out; ++i) dbias_expected[static_cast<size_t>(i % C_out)] += dy[i];
    Tensor<float> dweight_alone = dweight;
    linear_backward_weight(stream, dy.view(), x.view(), dweight.view(), dbias.view(), scratch());
    EXPECT_LE(relative_error(dweight, dweight_expected), kStorageTolerance<float>);
    EXPECT_LE(relative_error(dbias, dbias_expected), kStorageTolerance<float>);
    linear_backward_weight(stream, dy.view(), x.view(), dweight_alone.view(), View(), scratch());
    if (tests::device() == Device::cpu) {
      EXPECT_EQ(dweight_alone.values, dweight.values);
    } else {  // another algorithm may be the fastest
      EXPECT_LE(relative_error(dweight_alone, dweight_expected), kStorageTolerance<float>);
    }
  }
}

/// Integers up to 9, which every storage holds: sums of their products are exact in fp32.
template <typename T>
Tensor<T> small_integers(Random& random, Shape shape) {
  Tensor<T> result(shape);
  for (T& value : result.values) value = static_cast<float>(random.below(19) - 9);
  return result;
}

TYPED_TEST(Linear, OutputsAreRoundedOnceForEveryNumberOfThreads) {
  using T = TypeParam;
  Random random;
  Stream stream(tests::device());
  for (const Sizes& sizes : {Sizes{7, 40, 403}, Sizes{517, 1, 403}, Sizes{1030, 1027, 21}, Sizes{40, 1050, 1033}}) {
    if (too_slow(sizes)) continue;
    SCOPED_TRACE(testing::PrintToString(sizes));
    const auto [N, C_in, C_out] = sizes;
    const auto x = small_integers<T>(random, {N, C_in});
    const auto weight = small_integers<T>(random, {C_out, C_in});
    const auto bias = small_integers<T>(random, {C_out});
    const auto dy = small_integers<T>(random, {N, C_out});
    const auto expect_rounded = [&](const Tensor<T>& actual, const std::vector<double>& exact) {
      Tensor<T> expected(actual.shape);
      for (int64_t i = 0; i < expected.size(); ++i) {
        expected[i] = static_cast<float>(exact[static_cast<size_t>(i)]);
      }
      EXPECT_EQ(tests::to_double(actual), tests::to_double(expected));
    };
    std::vector<double> y_exact = forward_reference(x, weight);
    for (int64_t i = 0; i < N * C_out; ++i) y_exact[static_cast<size_t>(i)] += bias[i % C_out];
    const std::vector<double> dx_exact =
        product_reference(N, C_in, C_out, Factor<T>{dy.values, C_out, 1}, Factor<T>{weight.values, C_in, 1});
    const std::vector<double> dweight_exact =
        product_reference(C_out, C_in, N, Factor<T>{dy.values, 1, C_out}, Factor<T>{x.values, C_in, 1});
    for (const int threads : {1, 2, 3}) {
      const tests::Threads guard(threads);
      EXPECT_EQ(compute_threads(), threads);
      auto y = poisoned<T>({N, C_out});
      linear_forward(
          stream,
          {.x = x.view(), .weight = weight.view(), .bias = bias.view(), .epilogue = Epilogue::bias, .y = y.view()},
          scratch());
      expect_rounded(y, y_exact);
      auto dx = poisoned<T>({N, C_in});
      linear_backward_input(stream, dy.view(), weight.view(), dx.view(), scratch());
      expect_rounded(dx, dx_exact);
      Tensor<float> dweight({C_out, C_in});
      linear_backward_weight(stream, dy.view(), x.view(), dweight.view(), View(), scratch());
      EXPECT_EQ(tests::to_double(dweight), dweight_exact);
    }
  }
}

TYPED_TEST(Linear, BiasGeluAndBiasGradientDoNotDependOnThreads) {
  using T = TypeParam;
  Random random;
  Stream stream(tests::device());
  constexpr int64_t N = 517;
  constexpr int64_t C_out = 403;
  // Width 1 makes the product exact, so that what is compared is ours and not how OpenBLAS cuts its work.
  const auto x = random.normals<T>({N, 1});
  const auto weight = random.normals<T>({C_out, 1});
  const auto bias = random.normals<T>({C_out});
  const auto dy = random.normals<T>({N, C_out});
  std::vector<Tensor<T>> outputs;
  std::vector<Tensor<float>> gradients;
  for (const int threads : {1, 2, 3}) {
    const tests::Threads guard(threads);
    auto y = poisoned<T>({N, C_out});
    auto pre_activation = poisoned<T>({N, C_out});
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
    outputs.push_back(y);
    gradients.push_back(dbias);
  }
  for (size_t i = 1; i < outputs.size(); ++i) {
    EXPECT_TRUE(tests::same_bits(outputs[i], outputs[0])) << i;
    EXPECT_TRUE(tests::same_bits(gradients[i], gradients[0])) << i;
  }
}

/// The three ops once each, at `sizes`, on dry or real views of `storage` and fp32 gradients.
struct Calls {
  View x, weight, bias, y, dweight, dbias;

  void run(Stream& stream, Arena& panels) const {
    linear_forward(stream, {x, weight, bias, Epilogue::bias_gelu, y, y}, panels);
    linear_backward_input(stream, y, weight, x, panels);
    linear_backward_weight(stream, y, x, dweight, dbias, panels);
  }
};
template <typename T>
Calls dry_calls(const Sizes& sizes) {
  const auto [N, C_in, C_out] = sizes;
  const auto view = [](Shape shape) { return tests::dry_view(shape, dtype_of<T>); };
  return {view({N, C_in}),         view({C_out, C_in}), view({C_out}), view({N, C_out}), tests::dry_view({C_out, C_in}),
          tests::dry_view({C_out})};
}

TYPED_TEST(Linear, DryStreamStatesTheSameCostAndScratchAsCpu) {
  using T = TypeParam;
  for (const Sizes& sizes : {Sizes{5, 8, 3}, Sizes{1025, 8, 3}, Sizes{33, 1040, 1030}}) {
    if (too_slow(sizes)) continue;
    SCOPED_TRACE(testing::PrintToString(sizes));
    const auto [N, C_in, C_out] = sizes;
    Tensor<T> x({N, C_in});
    Tensor<T> weight({C_out, C_in});
    Tensor<T> bias({C_out});
    Tensor<T> y({N, C_out});
    Tensor<float> dweight({C_out, C_in});
    Tensor<float> dbias({C_out});
    Stream cpu(tests::device());
    Stream dry = Stream::dry_for(tests::device());
    Arena cpu_scratch = tests::shared_arena("scratch", int64_t{1} << 26);
    Arena dry_scratch = Arena::dry("scratch");
    Calls{x.view(), weight.view(), bias.view(), y.view(), dweight.view(), dbias.view()}.run(cpu, cpu_scratch);
    dry_calls<T>(sizes).run(dry, dry_scratch);

    const auto s = static_cast<int64_t>(sizeof(T));
    const int64_t flops = 2 * N * C_in * C_out;
    const int64_t operands = N * C_in + C_in * C_out + N * C_out;
    tests::expect_cost(cpu, dry, {.op = "linear_forward", .flops = flops, .bytes = s * (operands + N * C_out + C_out)});
    tests::expect_cost(cpu, dry, {.op = "linear_backward_input", .flops = flops, .bytes = s * operands});
    tests::expect_cost(cpu, dry,
                       {.op = "linear_backward_weight",
                        .flops = flops,
                        .bytes = s * (N * C_in + N * C_out) + 2 * 4 * (C_in * C_out + C_out)});
    EXPECT_EQ(cpu_scratch.peak_bytes(), dry_scratch.peak_bytes());
    EXPECT_EQ(cpu_scratch.used_bytes(), 0);
    EXPECT_EQ(dry_scratch.used_bytes(), 0);
  }
}

TYPED_TEST(Linear, ScratchIsBoundedAndDecodingNeedsNone) {
  Stream stream(Device::dry);
  Arena arena = Arena::dry("scratch");
  const Calls large = dry_calls<TypeParam>({8192, 28672, 128256});
  large.run(stream, arena);
  EXPECT_EQ(arena.peak_bytes() > 0, dtype_of<TypeParam> == DType::bf16);
  EXPECT_LE(arena.peak_bytes(), 12 << 20);  // three panels of 1,024 x 1,024 fp32

  Arena decoding = Arena::dry("scratch");
  linear_forward(stream, {.x = large.x.rows(0, 8), .weight = large.weight, .y = large.y.rows(0, 8)}, decoding);
  EXPECT_EQ(decoding.peak_bytes(), 0);
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
            "linear_forward: x is (3) fp32, expected 2 axes");
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

TEST(LinearShapes, StoragesDoNotMixAndGradientsOfParametersAreFp32) {
  Stream stream(Device::dry);
  const View x = tests::dry_view({5, 8}, DType::bf16);
  const View weight = tests::dry_view({3, 8}, DType::bf16);
  const View y = tests::dry_view({5, 3}, DType::bf16);
  EXPECT_EQ(tests::error_message([&] {
              linear_forward(stream, {.x = x, .weight = tests::dry_view({3, 8}), .y = y}, scratch());
            }),
            "linear_forward: weight is (3, 8) fp32, expected (3, 8) bf16");
  EXPECT_EQ(tests::error_message([&] {
              linear_forward(stream, {.x = tests::dry_view({5, 8}, DType::i32), .weight = weight, .y = y}, scratch());
            }),
            "linear_forward: x is (5, 8) i32, expected fp32 or bf16");
  EXPECT_EQ(tests::error_message([&] { linear_backward_weight(stream, y, x, weight, View(), scratch()); }),
            "linear_backward_weight: dweight is (3, 8) bf16, expected (3, 8) fp32");
}

}  // namespace
}  // namespace trireme::runtime
