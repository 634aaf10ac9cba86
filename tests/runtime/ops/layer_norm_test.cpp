#include "runtime/ops/layer_norm.h"

#include "tests/reference/layer_norm.h"
#include "tests/reference/op_runs.h"

namespace trireme::runtime {
namespace {

using tests::poisoned;
using tests::relative_error;
using tests::same_bits;
using tests::Tensor;
using tests::to_double;

// An fp32 operation errs by 6e-8; sums of C terms run in 4 or more lanes and sums of N terms in blocks of 64, so random
// inputs stay below 1e-6. 1e-5 leaves a factor for unlucky inputs; a wrong term would show as 1e-3 or more.
constexpr double kTolerance = 1e-5;

struct Forward {
  Tensor<float> residual, branch, weight, bias, sum, y, mean, rstd;
  bool with_branch;

  Forward(tests::Random& random, int64_t N, int64_t C, bool with_branch_)
      : residual(random.normals({N, C})),
        branch(random.normals({N, C}, 2)),
        weight(random.normals({C})),
        bias(random.normals({C})),
        sum(poisoned({N, C})),
        y(poisoned({N, C})),
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
  /// What is normalised.
  std::vector<double> input() const {
    std::vector<double> x = to_double(residual);
    for (size_t i = 0; with_branch && i < x.size(); ++i) x[i] += branch.values[i];
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

void expect_forward_matches(Forward& forward, double tolerance) {
  Stream stream(Device::cpu);
  layer_norm_forward(stream, forward.args());
  const std::vector<double> x = forward.input();
  const tests::NaiveLayerNorm expected =
      tests::naive_layer_norm(x, to_double(forward.weight), to_double(forward.bias), 1e-5);
  EXPECT_LE(relative_error(forward.y, expected.y), tolerance);
  expect_means(forward.mean, expected.mean, x, tolerance / 10);
  EXPECT_LE(relative_error(forward.rstd, expected.rstd), tolerance);
  if (forward.with_branch) {
    EXPECT_LE(relative_error(forward.sum, x), tolerance);
  }
}

TEST(LayerNorm, ForwardMatchesFloat64) {
  tests::Random random;
  for (const auto& [N, C] : {std::pair<int64_t, int64_t>{1, 7}, {3, 16}, {5, 33}, {17, 768}, {2, 4099}}) {
    for (const bool with_branch : {false, true}) {
      SCOPED_TRACE(testing::Message() << "N " << N << ", C " << C << ", branch " << with_branch);
      Forward forward(random, N, C, with_branch);
      expect_forward_matches(forward, kTolerance);
    }
  }
}

// x - mean loses the digits that fp32 spends on the mean: 100 * 6e-8 = 6e-6 of a deviation of 1, in x and in the mean.
// The one-pass formula E[x^2] - E[x]^2 would err by 1e-3 here.
TEST(LayerNorm, LargeMeanDoesNotCancel) {
  tests::Random random;
  Forward forward(random, 4, 768, false);
  for (float& value : forward.residual.values) value += 100;
  // The mean of 100 is itself rounded to a few 1e-6, more where the sum is not vectorised: seen up to 3e-5. The formula
  // that cancels, E[x^2] - E[x]^2, is off by 1e-3.
  expect_forward_matches(forward, 1e-4);
}

TEST(LayerNorm, SumMayBeTheResidual) {
  tests::Random random;
  Forward apart(random, 5, 40, true);
  Forward in_place = apart;
  Stream stream(Device::cpu);
  layer_norm_forward(stream, apart.args());
  LayerNormForward args = in_place.args();
  args.sum = in_place.residual.view();
  layer_norm_forward(stream, args);
  EXPECT_TRUE(same_bits(in_place.residual, apart.sum));
  EXPECT_TRUE(same_bits(in_place.y, apart.y));
}

struct Backward {
  Tensor<float> dy, sum, weight, mean, rstd, dresidual, dx, dweight, dbias;
  bool with_residual;

  Backward(tests::Random& random, int64_t N, int64_t C, bool with_residual_)
      : dy(random.normals({N, C})),
        sum(random.normals({N, C})),
        weight(random.normals({C})),
        mean({N}),
        rstd({N}),
        dresidual(random.normals({N, C})),
        dx(poisoned({N, C})),
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

TEST(LayerNorm, BackwardMatchesFloat64) {
  tests::Random random;
  for (const auto& [N, C] : {std::pair<int64_t, int64_t>{1, 7}, {3, 16}, {65, 33}, {17, 768}, {2051, 5}}) {
    for (const bool with_residual : {false, true}) {
      SCOPED_TRACE(testing::Message() << "N " << N << ", C " << C << ", dresidual " << with_residual);
      Backward backward(random, N, C, with_residual);
      tests::NaiveLayerNormGradient expected = tests::naive_layer_norm_gradient(
          to_double(backward.sum), to_double(backward.weight), to_double(backward.dy), 1e-5);
      for (size_t i = 0; with_residual && i < expected.dx.size(); ++i) {
        expected.dx[i] += backward.dresidual.values[i];
      }
      for (size_t c = 0; c < expected.dweight.size(); ++c) {  // parameters' gradients accumulate
        expected.dweight[c] += backward.dweight.values[c];
        expected.dbias[c] += backward.dbias.values[c];
      }
      Stream stream(Device::cpu);
      layer_norm_backward(stream, backward.args());
      EXPECT_LE(relative_error(backward.dx, expected.dx), kTolerance);
      EXPECT_LE(relative_error(backward.dweight, expected.dweight), kTolerance);
      EXPECT_LE(relative_error(backward.dbias, expected.dbias), kTolerance);
    }
  }
}

TEST(LayerNorm, ResidualGradientMayBeDx) {
  tests::Random random;
  Backward apart(random, 5, 40, true);
  Backward in_place = apart;
  Stream stream(Device::cpu);
  layer_norm_backward(stream, apart.args());
  LayerNormBackward args = in_place.args();
  args.dx = in_place.dresidual.view();
  layer_norm_backward(stream, args);
  EXPECT_TRUE(same_bits(in_place.dresidual, apart.dx));
}

TEST(LayerNorm, ThreadsGiveTheSameBits) {
  tests::Random random;
  Forward forward(random, 37, 300, true);
  Backward backward(random, 137, 300, true);
  Forward forward_alone = forward;
  Backward backward_alone = backward;
  Stream stream(Device::cpu);
  {
    const tests::Threads one(1);
    layer_norm_forward(stream, forward_alone.args());
    layer_norm_backward(stream, backward_alone.args());
  }
  const tests::Threads two(2);
  layer_norm_forward(stream, forward.args());
  layer_norm_backward(stream, backward.args());
  EXPECT_TRUE(same_bits(forward.y, forward_alone.y));
  EXPECT_TRUE(same_bits(forward.rstd, forward_alone.rstd));
  EXPECT_TRUE(same_bits(backward.dx, backward_alone.dx));
  EXPECT_TRUE(same_bits(backward.dweight, backward_alone.dweight));
  EXPECT_TRUE(same_bits(backward.dbias, backward_alone.dbias));
}

TEST(LayerNorm, NotFiniteInputsShow) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    tests::Random random;
    Forward forward(random, 3, 33, true);
    forward.branch[33 + 20] = bad;
    Backward backward(random, 3, 33, true);
    backward.dy[33 + 20] = bad;
    Stream stream(Device::cpu);
    layer_norm_forward(stream, forward.args());
    layer_norm_backward(stream, backward.args());
    for (int64_t i = 0; i < 3 * 33; ++i) {
      EXPECT_EQ(std::isfinite(forward.y[i]), i / 33 != 1) << bad << " at " << i;
      EXPECT_EQ(std::isfinite(backward.dx[i]), i / 33 != 1) << bad << " at " << i;
    }
    EXPECT_FALSE(std::isfinite(backward.dweight[20]));
    EXPECT_FALSE(std::isfinite(backward.dbias[20]));
  }
}

TEST(LayerNorm, DryCostsWhatCpuCosts) {
  tests::Random random;
  const int64_t N = 3;
  const int64_t C = 20;
  for (const bool more : {false, true}) {
    Stream cpu(Device::cpu);
    Stream dry(Device::dry);
    Forward forward(random, N, C, more);
    Backward backward(random, N, C, more);
    layer_norm_forward(cpu, forward.args());
    layer_norm_backward(cpu, backward.args());
    const View matrix = tests::dry_view({N, C});
    const View column = tests::dry_view({N});
    const View row = tests::dry_view({C});
    const View optional = more ? matrix : View();
    layer_norm_forward(dry, {.residual = matrix,
                             .branch = optional,
                             .weight = row,
                             .bias = row,
                             .sum = optional,
                             .y = matrix,
                             .mean = column,
                             .rstd = column});
    layer_norm_backward(dry, {.dy = matrix,
                              .sum = matrix,
                              .weight = row,
                              .mean = column,
                              .rstd = column,
                              .dresidual = optional,
                              .dx = matrix,
                              .dweight = row,
                              .dbias = row});
    tests::expect_cost(cpu, dry,
                       {.op = "layer_norm_forward",
                        .flops = (more ? 9 : 8) * N * C,
                        .bytes = 4 * ((more ? 4 : 2) * N * C + 2 * C + 2 * N)});
    tests::expect_cost(cpu, dry,
                       {.op = "layer_norm_backward",
                        .flops = (more ? 14 : 13) * N * C,
                        .bytes = 4 * ((more ? 4 : 3) * N * C + 5 * C + 2 * N)});
  }
}

TEST(LayerNorm, WrongShapesAreNamed) {
  tests::Random random;
  Stream stream(Device::cpu);
  Forward forward(random, 3, 8, true);
  LayerNormForward args = forward.args();
  args.weight = forward.mean.view();
  EXPECT_EQ(tests::error_message([&] { layer_norm_forward(stream, args); }),
            "layer_norm_forward: weight is (3) fp32, expected (8) fp32");
  args = forward.args();
  args.sum = {};
  EXPECT_EQ(tests::error_message([&] { layer_norm_forward(stream, args); }),
            "layer_norm_forward: sum is () fp32, expected (3, 8) fp32");
  args = forward.args();
  args.residual = forward.residual.view().reshaped({24});
  EXPECT_EQ(tests::error_message([&] { layer_norm_forward(stream, args); }),
            "layer_norm_forward: residual is (24) fp32, expected 2 axes");
  Backward backward(random, 3, 8, true);
  LayerNormBackward backward_args = backward.args();
  backward_args.dresidual = backward.dy.view().reshaped({8, 3});
  EXPECT_EQ(tests::error_message([&] { layer_norm_backward(stream, backward_args); }),
            "layer_norm_backward: dresidual is (8, 3) fp32, expected (3, 8) fp32");
  EXPECT_TRUE(stream.costs().by_op().empty()) << "a refused call costs nothing";
}

}  // namespace
}  // namespace trireme::runtime
