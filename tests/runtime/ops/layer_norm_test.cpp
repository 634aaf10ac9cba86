#include "runtime/ops/layer_norm.h"

#include <algorithm>

#include "tests/reference/layer_norm.h"
#include "tests/reference/norm_runs.h"
#include "tests/reference/op_runs.h"

namespace trireme::runtime {
namespace {

using tests::kNormSumTolerance;
using tests::kStorageTolerance;
using tests::Misaligned;
using tests::poisoned;
using tests::relative_error;
using tests::same_bits;
using tests::Tensor;
using tests::to_double;

template <typename T>
class LayerNorm : public testing::Test {};
using Storages = testing::Types<float, bf16>;
TYPED_TEST_SUITE(LayerNorm, Storages);

template <typename T>
struct Forward {
  Tensor<T> residual, branch, weight, bias, sum, y;
  Tensor<float> mean, rstd;
  bool with_branch;

  Forward(tests::Random& random, int64_t N, int64_t C, bool with_branch_)
      : residual(random.normals<T>({N, C})),
        branch(random.normals<T>({N, C}, 2)),
        weight(random.normals<T>({C})),
        bias(random.normals<T>({C})),
        sum(poisoned<T>({N, C})),
        y(poisoned<T>({N, C})),
        mean(poisoned({N})),
        rstd(poisoned({N})),
        with_branch(with_branch_) {}

  LayerNormForward args() {
    return {.residual = residual.view(),
            .branch = with_branch ? ConstView(branch.view()) : ConstView(),
            .weight = weight.view(),
            .bias = bias.view(),
            .sum = with_branch ? sum.view() : View(),
            .y = y.view(),
            .mean = mean.view(),
            .rstd = rstd.view()};
  }
  /// What is normalised, before it is rounded to the storage.
  std::vector<double> input() const {
    std::vector<double> x = to_double(residual);
    for (size_t i = 0; with_branch && i < x.size(); ++i) x[i] += static_cast<double>(branch.values[i]);
    return x;
  }
};

/// sum / C errs by some roundings of the values that are added, whatever is left of them: one mean may be near 0.
/// `tolerance` is that of a mean of values of size 1.
void expect_means(const Tensor<float>& mean, std::span<const double> expected, const std::vector<double>& x,
                  double tolerance) {
  double squares = 0;
  for (const double value : x) squares += value * value;
  const double rms = std::sqrt(squares / static_cast<double>(x.size()));
  for (int64_t i = 0; i < mean.size(); ++i) {
    EXPECT_NEAR(mean[i], expected[static_cast<size_t>(i)], tolerance * rms) << "row " << i;
  }
}

template <typename T>
void expect_forward_matches(Forward<T>& forward, double y_tolerance, double sum_tolerance) {
  Stream stream(tests::device());
  layer_norm_forward(stream, forward.args());
  const std::vector<double> weight = to_double(forward.weight);
  const std::vector<double> bias = to_double(forward.bias);
  const std::vector<double> x = forward.input();
  EXPECT_LE(relative_error(forward.y, tests::naive_layer_norm(x, weight, bias, 1e-5).y), y_tolerance);
  if (forward.with_branch) {
    EXPECT_LE(relative_error(forward.sum, x), kStorageTolerance<T>);
  }
  const std::vector<double> stored = to_double(forward.with_branch ? forward.sum : forward.residual);
  const tests::NaiveLayerNorm expected = tests::naive_layer_norm(stored, weight, bias, 1e-5);
  expect_means(forward.mean, expected.mean, stored, sum_tolerance / 10);
  EXPECT_LE(relative_error(forward.rstd, expected.rstd), sum_tolerance);
}

TYPED_TEST(LayerNorm, ForwardMatchesFloat64) {
  tests::Random random;
  for (const auto& [N, C] : tests::kNormForwardSizes) {
    for (const bool with_branch : {false, true}) {
      SCOPED_TRACE(testing::Message() << "N " << N << ", C " << C << ", branch " << with_branch);
      Forward<TypeParam> forward(random, N, C, with_branch);
      expect_forward_matches(forward, kStorageTolerance<TypeParam>, kNormSumTolerance);
    }
  }
}

// x - mean loses the digits that fp32 spends on the mean: 100 * 6e-8 = 6e-6 of a deviation of 1, in x and in the mean.
// The mean of 100 is itself rounded to a few 1e-6, more where the sum is not vectorised: seen up to 3e-5. The one-pass
// formula E[x^2] - E[x]^2 would err by 1e-3 here.
TYPED_TEST(LayerNorm, LargeMeanDoesNotCancel) {
  tests::Random random;
  Forward<TypeParam> forward(random, 4, 768, false);
  for (TypeParam& value : forward.residual.values) value = value + 100;
  expect_forward_matches(forward, std::max(1e-4, kStorageTolerance<TypeParam>), 1e-4);
}

TYPED_TEST(LayerNorm, SumMayBeTheResidual) {
  tests::Random random;
  Forward<TypeParam> apart(random, 5, 40, true);
  Forward<TypeParam> in_place = apart;
  Stream stream(tests::device());
  layer_norm_forward(stream, apart.args());
  LayerNormForward args = in_place.args();
  args.sum = in_place.residual.view();
  layer_norm_forward(stream, args);
  EXPECT_TRUE(same_bits(in_place.residual, apart.sum));
  EXPECT_TRUE(same_bits(in_place.y, apart.y));
}

// Selective recomputation depends on it. The second time the sum lies elsewhere, one element off its alignment.
TYPED_TEST(LayerNorm, NormalisingTheStoredSumGivesTheSameBits) {
  tests::Random random;
  for (const int64_t C : {7, 33, 40, 768, 1600, 4099}) {
    SCOPED_TRACE(testing::Message() << "C " << C);
    const int64_t N = 6;
    Forward<TypeParam> first(random, N, C, true);
    Stream stream(tests::device());
    layer_norm_forward(stream, first.args());
    Forward<TypeParam> again = first;
    again.y = poisoned<TypeParam>({N, C});
    again.mean = poisoned({N});
    again.rstd = poisoned({N});
    again.with_branch = false;
    Misaligned<TypeParam> moved(first.sum);
    LayerNormForward args = again.args();
    args.residual = moved.view();
    layer_norm_forward(stream, args);
    EXPECT_TRUE(same_bits(again.y, first.y));
    EXPECT_TRUE(same_bits(again.mean, first.mean));
    EXPECT_TRUE(same_bits(again.rstd, first.rstd));
  }
}

template <typename T>
struct Backward {
  Tensor<T> dy, sum, weight;
  Tensor<float> mean, rstd;
  Tensor<T> dresidual, dx;
  Tensor<float> dweight, dbias;
  bool with_residual;

  Backward(tests::Random& random, int64_t N, int64_t C, bool with_residual_)
      : dy(random.normals<T>({N, C})),
        sum(random.normals<T>({N, C})),
        weight(random.normals<T>({C})),
        mean({N}),
        rstd({N}),
        dresidual(random.normals<T>({N, C})),
        dx(poisoned<T>({N, C})),
        dweight(random.normals({C})),
        dbias(random.normals({C})),
        with_residual(with_residual_) {
    const tests::NaiveLayerNorm forward =
        tests::naive_layer_norm(to_double(sum), to_double(weight), to_double(weight), 1e-5);
    mean.values.assign(forward.mean.begin(), forward.mean.end());
    rstd.values.assign(forward.rstd.begin(), forward.rstd.end());
  }

  LayerNormBackward args() {
    return {.dy = dy.view(),
            .sum = sum.view(),
            .weight = weight.view(),
            .mean = mean.view(),
            .rstd = rstd.view(),
            .dresidual = with_residual ? ConstView(dresidual.view()) : ConstView(),
            .dx = dx.view(),
            .dweight = dweight.view(),
            .dbias = dbias.view()};
  }
};

TYPED_TEST(LayerNorm, BackwardMatchesFloat64) {
  tests::Random random;
  for (const auto& [N, C] : tests::kNormBackwardSizes) {
    for (const bool with_residual : {false, true}) {
      SCOPED_TRACE(testing::Message() << "N " << N << ", C " << C << ", dresidual " << with_residual);
      Backward<TypeParam> backward(random, N, C, with_residual);
      tests::NaiveLayerNormGradient expected = tests::naive_layer_norm_gradient(
          to_double(backward.sum), to_double(backward.weight), to_double(backward.dy), 1e-5);
      for (size_t i = 0; with_residual && i < expected.dx.size(); ++i) {
        expected.dx[i] += static_cast<double>(backward.dresidual.values[i]);
      }
      for (size_t c = 0; c < expected.dweight.size(); ++c) {  // parameters' gradients accumulate
        expected.dweight[c] += backward.dweight.values[c];
        expected.dbias[c] += backward.dbias.values[c];
      }
      Stream stream(tests::device());
      layer_norm_backward(stream, backward.args(), tests::scratch());
      EXPECT_LE(relative_error(backward.dx, expected.dx), kStorageTolerance<TypeParam>);
      EXPECT_LE(relative_error(backward.dweight, expected.dweight), kNormSumTolerance);
      EXPECT_LE(relative_error(backward.dbias, expected.dbias), kNormSumTolerance);
    }
  }
}

TYPED_TEST(LayerNorm, ResidualGradientMayBeDx) {
  tests::Random random;
  Backward<TypeParam> apart(random, 5, 40, true);
  Backward<TypeParam> in_place = apart;
  Stream stream(tests::device());
  layer_norm_backward(stream, apart.args(), tests::scratch());
  LayerNormBackward args = in_place.args();
  args.dx = in_place.dresidual.view();
  layer_norm_backward(stream, args, tests::scratch());
  EXPECT_TRUE(same_bits(in_place.dresidual, apart.dx));
}

// Every operand one element off its alignment, as in a view of a larger matrix.
TYPED_TEST(LayerNorm, BackwardTakesAnyAlignment) {
  tests::Random random;
  Backward<TypeParam> aligned(random, 5, 40, true);
  Backward<TypeParam> other = aligned;
  Misaligned<TypeParam> dy(aligned.dy), sum(aligned.sum), weight(aligned.weight), dresidual(aligned.dresidual);
  Misaligned<TypeParam> dx(aligned.dx);
  LayerNormBackward args = other.args();
  args.dy = dy.view();
  args.sum = sum.view();
  args.weight = weight.view();
  args.dresidual = dresidual.view();
  args.dx = dx.view();
  Stream stream(tests::device());
  layer_norm_backward(stream, aligned.args(), tests::scratch());
  layer_norm_backward(stream, args, tests::scratch());
  EXPECT_LE(relative_error(dx.tensor(), to_double(aligned.dx)), kStorageTolerance<TypeParam>);
  EXPECT_LE(relative_error(other.dweight, to_double(aligned.dweight)), kNormSumTolerance);
}

TYPED_TEST(LayerNorm, NoRowsChangeNothing) {
  tests::Random random;
  Forward<TypeParam> forward(random, 0, 8, true);
  Backward<TypeParam> backward(random, 0, 8, true);
  const Tensor<float> dweight = backward.dweight;
  Stream stream(tests::device());
  layer_norm_forward(stream, forward.args());
  layer_norm_backward(stream, backward.args(), tests::scratch());
  EXPECT_TRUE(same_bits(backward.dweight, dweight));
}

TYPED_TEST(LayerNorm, ThreadsGiveTheSameBits) {
  tests::Random random;
  Forward<TypeParam> forward(random, 37, 300, true);
  Backward<TypeParam> backward(random, 137, 300, true);
  Stream stream(tests::device());
  Forward<TypeParam> forward_alone = forward;
  Backward<TypeParam> backward_alone = backward;
  {
    const tests::Threads one(1);
    layer_norm_forward(stream, forward_alone.args());
    layer_norm_backward(stream, backward_alone.args(), tests::scratch());
  }
  for (const int count : {2, 3}) {
    const tests::Threads threads(count);
    Forward<TypeParam> forward_shared = forward;
    Backward<TypeParam> backward_shared = backward;
    layer_norm_forward(stream, forward_shared.args());
    layer_norm_backward(stream, backward_shared.args(), tests::scratch());
    EXPECT_TRUE(same_bits(forward_shared.sum, forward_alone.sum));
    EXPECT_TRUE(same_bits(forward_shared.y, forward_alone.y));
    EXPECT_TRUE(same_bits(forward_shared.mean, forward_alone.mean));
    EXPECT_TRUE(same_bits(forward_shared.rstd, forward_alone.rstd));
    EXPECT_TRUE(same_bits(backward_shared.dx, backward_alone.dx));
    EXPECT_TRUE(same_bits(backward_shared.dweight, backward_alone.dweight));
    EXPECT_TRUE(same_bits(backward_shared.dbias, backward_alone.dbias));
  }
}

TYPED_TEST(LayerNorm, NotFiniteInputsShow) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    tests::Random random;
    Forward<TypeParam> forward(random, 3, 33, true);
    forward.branch[33 + 20] = bad;
    Backward<TypeParam> backward(random, 3, 33, true);
    backward.dy[33 + 20] = bad;
    Stream stream(tests::device());
    layer_norm_forward(stream, forward.args());
    layer_norm_backward(stream, backward.args(), tests::scratch());
    for (int64_t i = 0; i < 3 * 33; ++i) {
      EXPECT_EQ(std::isfinite(forward.y[i]), i / 33 != 1) << bad << " at " << i;
      EXPECT_EQ(std::isfinite(backward.dx[i]), i / 33 != 1) << bad << " at " << i;
    }
    for (int64_t c = 0; c < 33; ++c) {
      EXPECT_EQ(std::isfinite(backward.dweight[c]), c != 20) << bad << " at " << c;
      EXPECT_EQ(std::isfinite(backward.dbias[c]), c != 20) << bad << " at " << c;
    }
  }
}

TYPED_TEST(LayerNorm, DryCostsWhatCpuCosts) {
  tests::Random random;
  const int64_t N = 3;
  const int64_t C = 20;
  const int64_t s = sizeof(TypeParam);
  for (const bool more : {false, true}) {
    Stream cpu(tests::device());
    Stream dry(Device::dry);
    Forward<TypeParam> forward(random, N, C, more);
    Backward<TypeParam> backward(random, N, C, more);
    layer_norm_forward(cpu, forward.args());
    layer_norm_backward(cpu, backward.args(), tests::scratch());
    const View matrix = tests::dry_view({N, C}, dtype_of<TypeParam>);
    const View row = tests::dry_view({C}, dtype_of<TypeParam>);
    const View column = tests::dry_view({N});
    const View gradient = tests::dry_view({C});
    const View optional = more ? matrix : View();
    layer_norm_forward(dry, {.residual = matrix,
                             .branch = optional,
                             .weight = row,
                             .bias = row,
                             .sum = optional,
                             .y = matrix,
                             .mean = column,
                             .rstd = column});
    layer_norm_backward(dry,
                        {.dy = matrix,
                         .sum = matrix,
                         .weight = row,
                         .mean = column,
                         .rstd = column,
                         .dresidual = optional,
                         .dx = matrix,
                         .dweight = gradient,
                         .dbias = gradient},
                        tests::scratch());
    tests::expect_cost(cpu, dry,
                       {.op = "layer_norm_forward",
                        .flops = (more ? 9 : 8) * N * C,
                        .bytes = s * ((more ? 4 : 2) * N * C + 2 * C) + 8 * N});
    tests::expect_cost(cpu, dry,
                       {.op = "layer_norm_backward",
                        .flops = (more ? 14 : 13) * N * C,
                        .bytes = s * ((more ? 4 : 3) * N * C + C) + 16 * C + 8 * N});
  }
}

TEST(LayerNormChecks, WrongShapesAndStoragesAreNamed) {
  tests::Random random;
  Stream stream(tests::device());
  Forward<bf16> forward(random, 3, 8, true);
  const auto forward_error = [&](const auto& change) {
    LayerNormForward args = forward.args();
    change(args);
    return tests::error_message([&] { layer_norm_forward(stream, args); });
  };
  const View floats = forward.rstd.view();
  EXPECT_EQ(forward_error([&](auto& args) { args.weight = floats; }),
            "layer_norm_forward: weight is (3) fp32, expected (8) bf16");
  EXPECT_EQ(forward_error([&](auto& args) { args.bias.dtype = DType::fp32; }),
            "layer_norm_forward: bias is (8) fp32, expected (8) bf16");
  EXPECT_EQ(forward_error([&](auto& args) { args.sum = {}; }),
            "layer_norm_forward: sum is () fp32, expected (3, 8) bf16");
  EXPECT_EQ(forward_error([&](auto& args) { args.branch = {}; }),
            "layer_norm_forward: sum is (3, 8) bf16, expected () bf16");
  EXPECT_EQ(forward_error([&](auto& args) { args.residual = args.residual.reshaped({24}); }),
            "layer_norm_forward: residual is (24) bf16, expected 2 axes");
  EXPECT_EQ(forward_error([&](auto& args) { args.residual.dtype = DType::i32; }),
            "layer_norm_forward: residual is (3, 8) i32, expected fp32 or bf16");
  EXPECT_EQ(forward_error([&](auto& args) { args.branch.dtype = DType::fp32; }),
            "layer_norm_forward: branch is (3, 8) fp32, expected (3, 8) bf16");
  EXPECT_EQ(forward_error([&](auto& args) { args.y.dtype = DType::fp32; }),
            "layer_norm_forward: y is (3, 8) fp32, expected (3, 8) bf16");
  EXPECT_EQ(forward_error([&](auto& args) { args.mean.dtype = DType::bf16; }),
            "layer_norm_forward: mean is (3) bf16, expected (3) fp32");
  EXPECT_EQ(forward_error([&](auto& args) { args.rstd.dtype = DType::bf16; }),
            "layer_norm_forward: rstd is (3) bf16, expected (3) fp32");

  Backward<bf16> backward(random, 3, 8, true);
  const auto backward_error = [&](const auto& change) {
    LayerNormBackward args = backward.args();
    change(args);
    return tests::error_message([&] { layer_norm_backward(stream, args, tests::scratch()); });
  };
  EXPECT_EQ(backward_error([&](auto& args) {
              args.dresidual = args.dy.reshaped({8, 3});
            }),
            "layer_norm_backward: dresidual is (8, 3) bf16, expected (3, 8) bf16");
  EXPECT_EQ(backward_error([&](auto& args) { args.sum.dtype = DType::fp32; }),
            "layer_norm_backward: sum is (3, 8) fp32, expected (3, 8) bf16");
  EXPECT_EQ(backward_error([&](auto& args) { args.weight = floats; }),
            "layer_norm_backward: weight is (3) fp32, expected (8) bf16");
  EXPECT_EQ(backward_error([&](auto& args) { args.mean.dtype = DType::bf16; }),
            "layer_norm_backward: mean is (3) bf16, expected (3) fp32");
  EXPECT_EQ(backward_error([&](auto& args) { args.dx.dtype = DType::fp32; }),
            "layer_norm_backward: dx is (3, 8) fp32, expected (3, 8) bf16");
  EXPECT_EQ(backward_error([&](auto& args) { args.dweight.dtype = DType::bf16; }),
            "layer_norm_backward: dweight is (8) bf16, expected (8) fp32");
  EXPECT_EQ(backward_error([&](auto& args) { args.dbias.dtype = DType::bf16; }),
            "layer_norm_backward: dbias is (8) bf16, expected (8) fp32");
  EXPECT_TRUE(stream.costs().by_op().empty()) << "a refused call costs nothing";
}

}  // namespace
}  // namespace trireme::runtime
