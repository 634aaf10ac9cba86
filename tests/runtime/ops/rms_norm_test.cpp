#include "runtime/ops/rms_norm.h"

#include <algorithm>

#include "tests/reference/norm_runs.h"
#include "tests/reference/op_runs.h"
#include "tests/reference/rms_norm.h"

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
class RmsNorm : public testing::Test {};
using Storages = testing::Types<float, bf16>;
TYPED_TEST_SUITE(RmsNorm, Storages);

template <typename T>
struct Forward {
  Tensor<T> residual, branch, weight, sum, y;
  Tensor<float> rstd;
  bool with_branch;

  Forward(tests::Random& random, int64_t N, int64_t C, bool with_branch_)
      : residual(random.normals<T>({N, C})),
        branch(random.normals<T>({N, C}, 2)),
        weight(random.normals<T>({C})),
        sum(poisoned<T>({N, C})),
        y(poisoned<T>({N, C})),
        rstd(poisoned({N})),
        with_branch(with_branch_) {}

  RmsNormForward args() {
    return {.residual = residual.view(),
            .branch = with_branch ? ConstView(branch.view()) : ConstView(),
            .weight = weight.view(),
            .sum = with_branch ? sum.view() : View(),
            .y = y.view(),
            .rstd = rstd.view()};
  }
  /// What is normalised, before it is rounded to the storage.
  std::vector<double> input() const {
    std::vector<double> x = to_double(residual);
    for (size_t i = 0; with_branch && i < x.size(); ++i) x[i] += static_cast<double>(branch.values[i]);
    return x;
  }
};

template <typename T>
void expect_forward_matches(Forward<T>& forward) {
  Stream stream(tests::device());
  rms_norm_forward(stream, forward.args());
  const std::vector<double> x = forward.input();
  EXPECT_LE(relative_error(forward.y, tests::naive_rms_norm(x, to_double(forward.weight), 1e-6).y),
            kStorageTolerance<T>);
  if (forward.with_branch) {
    EXPECT_LE(relative_error(forward.sum, x), kStorageTolerance<T>);
  }
  const std::vector<double> stored = to_double(forward.with_branch ? forward.sum : forward.residual);
  EXPECT_LE(relative_error(forward.rstd, tests::naive_rms_norm(stored, to_double(forward.weight), 1e-6).rstd),
            kNormSumTolerance);
}

TYPED_TEST(RmsNorm, ForwardMatchesFloat64) {
  tests::Random random;
  for (const auto& [N, C] : tests::kNormForwardSizes) {
    for (const bool with_branch : {false, true}) {
      SCOPED_TRACE(testing::Message() << "N " << N << ", C " << C << ", branch " << with_branch);
      Forward<TypeParam> forward(random, N, C, with_branch);
      expect_forward_matches(forward);
    }
  }
}

// Nothing is subtracted, so that a mean costs no digits.
TYPED_TEST(RmsNorm, LargeMeanMatchesFloat64) {
  tests::Random random;
  Forward<TypeParam> forward(random, 4, 768, true);
  for (TypeParam& value : forward.residual.values) value = value + 100;
  expect_forward_matches(forward);
}

TYPED_TEST(RmsNorm, EpsilonIsUnderTheRoot) {
  tests::Random random;
  Forward<TypeParam> forward(random, 1, 8, false);
  forward.residual = Tensor<TypeParam>({1, 8}, 0.0f);
  RmsNormForward args = forward.args();
  args.epsilon = 0.0625f;
  Stream stream(tests::device());
  rms_norm_forward(stream, args);
  EXPECT_EQ(forward.rstd[0], 4);
  EXPECT_EQ(relative_error(forward.y, std::vector<double>(8)), 0);
}

TYPED_TEST(RmsNorm, SumMayBeTheResidual) {
  tests::Random random;
  Forward<TypeParam> apart(random, 5, 40, true);
  Forward<TypeParam> in_place = apart;
  Stream stream(tests::device());
  rms_norm_forward(stream, apart.args());
  RmsNormForward args = in_place.args();
  args.sum = in_place.residual.view();
  rms_norm_forward(stream, args);
  EXPECT_TRUE(same_bits(in_place.residual, apart.sum));
  EXPECT_TRUE(same_bits(in_place.y, apart.y));
  EXPECT_TRUE(same_bits(in_place.rstd, apart.rstd));
}

// Selective recomputation depends on it. The second time the sum lies elsewhere, one element off its alignment.
TYPED_TEST(RmsNorm, NormalisingTheStoredSumGivesTheSameBits) {
  tests::Random random;
  for (const int64_t C : {7, 33, 40, 768, 1600, 4099}) {
    SCOPED_TRACE(testing::Message() << "C " << C);
    const int64_t N = 6;
    Forward<TypeParam> first(random, N, C, true);
    Stream stream(tests::device());
    rms_norm_forward(stream, first.args());
    Forward<TypeParam> again = first;
    again.y = poisoned<TypeParam>({N, C});
    again.rstd = poisoned({N});
    Misaligned<TypeParam> moved(first.sum);
    again.with_branch = false;
    RmsNormForward args = again.args();
    args.residual = moved.view();
    rms_norm_forward(stream, args);
    EXPECT_TRUE(same_bits(again.y, first.y));
    EXPECT_TRUE(same_bits(again.rstd, first.rstd));
  }
}

template <typename T>
struct Backward {
  Tensor<T> dy, sum, weight;
  Tensor<float> rstd;
  Tensor<T> dresidual, dx;
  Tensor<float> dweight;
  bool with_residual;

  Backward(tests::Random& random, int64_t N, int64_t C, bool with_residual_)
      : dy(random.normals<T>({N, C})),
        sum(random.normals<T>({N, C})),
        weight(random.normals<T>({C})),
        rstd({N}),
        dresidual(random.normals<T>({N, C})),
        dx(poisoned<T>({N, C})),
        dweight(random.normals({C})),
        with_residual(with_residual_) {
    const tests::NaiveRmsNorm forward = tests::naive_rms_norm(to_double(sum), to_double(weight), 1e-6);
    rstd.values.assign(forward.rstd.begin(), forward.rstd.end());
  }

  RmsNormBackward args() {
    return {.dy = dy.view(),
            .sum = sum.view(),
            .weight = weight.view(),
            .rstd = rstd.view(),
            .dresidual = with_residual ? ConstView(dresidual.view()) : ConstView(),
            .dx = dx.view(),
            .dweight = dweight.view()};
  }
};

TYPED_TEST(RmsNorm, BackwardMatchesFloat64) {
  tests::Random random;
  for (const auto& [N, C] : tests::kNormBackwardSizes) {
    for (const bool with_residual : {false, true}) {
      SCOPED_TRACE(testing::Message() << "N " << N << ", C " << C << ", dresidual " << with_residual);
      Backward<TypeParam> backward(random, N, C, with_residual);
      tests::NaiveRmsNormGradient expected = tests::naive_rms_norm_gradient(
          to_double(backward.sum), to_double(backward.weight), to_double(backward.dy), 1e-6);
      for (size_t i = 0; with_residual && i < expected.dx.size(); ++i) {
        expected.dx[i] += static_cast<double>(backward.dresidual.values[i]);
      }
      for (size_t c = 0; c < expected.dweight.size(); ++c) {  // the parameter's gradient accumulates
        expected.dweight[c] += backward.dweight.values[c];
      }
      Stream stream(tests::device());
      rms_norm_backward(stream, backward.args(), tests::scratch());
      EXPECT_LE(relative_error(backward.dx, expected.dx), kStorageTolerance<TypeParam>);
      EXPECT_LE(relative_error(backward.dweight, expected.dweight), kNormSumTolerance);
    }
  }
}

TYPED_TEST(RmsNorm, ResidualGradientMayBeDx) {
  tests::Random random;
  Backward<TypeParam> apart(random, 5, 40, true);
  Backward<TypeParam> in_place = apart;
  Stream stream(tests::device());
  rms_norm_backward(stream, apart.args(), tests::scratch());
  RmsNormBackward args = in_place.args();
  args.dx = in_place.dresidual.view();
  rms_norm_backward(stream, args, tests::scratch());
  EXPECT_TRUE(same_bits(in_place.dresidual, apart.dx));
}

// Every operand one element off its alignment, as in a view of a larger matrix.
TYPED_TEST(RmsNorm, BackwardTakesAnyAlignment) {
  tests::Random random;
  Backward<TypeParam> aligned(random, 5, 40, true);
  Backward<TypeParam> other = aligned;
  Misaligned<TypeParam> dy(aligned.dy), sum(aligned.sum), weight(aligned.weight), dresidual(aligned.dresidual);
  Misaligned<TypeParam> dx(aligned.dx);
  RmsNormBackward args = other.args();
  args.dy = dy.view();
  args.sum = sum.view();
  args.weight = weight.view();
  args.dresidual = dresidual.view();
  args.dx = dx.view();
  Stream stream(tests::device());
  rms_norm_backward(stream, aligned.args(), tests::scratch());
  rms_norm_backward(stream, args, tests::scratch());
  EXPECT_LE(relative_error(dx.tensor(), to_double(aligned.dx)), kStorageTolerance<TypeParam>);
  EXPECT_LE(relative_error(other.dweight, to_double(aligned.dweight)), kNormSumTolerance);
}

TYPED_TEST(RmsNorm, NoRowsChangeNothing) {
  tests::Random random;
  Forward<TypeParam> forward(random, 0, 8, true);
  Backward<TypeParam> backward(random, 0, 8, true);
  const Tensor<float> dweight = backward.dweight;
  Stream stream(tests::device());
  rms_norm_forward(stream, forward.args());
  rms_norm_backward(stream, backward.args(), tests::scratch());
  EXPECT_TRUE(same_bits(backward.dweight, dweight));
}

TYPED_TEST(RmsNorm, ThreadsGiveTheSameBits) {
  tests::Random random;
  Forward<TypeParam> forward(random, 37, 300, true);
  Backward<TypeParam> backward(random, 137, 300, true);
  Stream stream(tests::device());
  Forward<TypeParam> forward_alone = forward;
  Backward<TypeParam> backward_alone = backward;
  {
    const tests::Threads one(1);
    rms_norm_forward(stream, forward_alone.args());
    rms_norm_backward(stream, backward_alone.args(), tests::scratch());
  }
  for (const int count : {2, 3}) {
    const tests::Threads threads(count);
    Forward<TypeParam> forward_shared = forward;
    Backward<TypeParam> backward_shared = backward;
    rms_norm_forward(stream, forward_shared.args());
    rms_norm_backward(stream, backward_shared.args(), tests::scratch());
    EXPECT_TRUE(same_bits(forward_shared.sum, forward_alone.sum));
    EXPECT_TRUE(same_bits(forward_shared.y, forward_alone.y));
    EXPECT_TRUE(same_bits(forward_shared.rstd, forward_alone.rstd));
    EXPECT_TRUE(same_bits(backward_shared.dx, backward_alone.dx));
    EXPECT_TRUE(same_bits(backward_shared.dweight, backward_alone.dweight));
  }
}

TYPED_TEST(RmsNorm, NotFiniteInputsShow) {
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    tests::Random random;
    Forward<TypeParam> forward(random, 3, 33, true);
    forward.branch[33 + 20] = bad;
    Backward<TypeParam> backward(random, 3, 33, true);
    backward.dy[33 + 20] = bad;
    Stream stream(tests::device());
    rms_norm_forward(stream, forward.args());
    rms_norm_backward(stream, backward.args(), tests::scratch());
    EXPECT_FALSE(std::isfinite(forward.y[33 + 20])) << bad;
    for (int64_t i = 0; i < 3 * 33; ++i) {
      EXPECT_TRUE(std::isfinite(forward.y[i]) || i / 33 == 1) << bad << " at " << i;
      EXPECT_EQ(std::isfinite(backward.dx[i]), i / 33 != 1) << bad << " at " << i;
    }
    for (int64_t c = 0; c < 33; ++c) EXPECT_EQ(std::isfinite(backward.dweight[c]), c != 20) << bad << " at " << c;
  }
}

TYPED_TEST(RmsNorm, DryCostsWhatCpuCosts) {
  tests::Random random;
  const int64_t N = 3;
  const int64_t C = 20;
  const int64_t s = sizeof(TypeParam);
  for (const bool more : {false, true}) {
    Stream cpu(tests::device());
    Stream dry(Device::dry);
    Forward<TypeParam> forward(random, N, C, more);
    Backward<TypeParam> backward(random, N, C, more);
    rms_norm_forward(cpu, forward.args());
    rms_norm_backward(cpu, backward.args(), tests::scratch());
    const View matrix = tests::dry_view({N, C}, dtype_of<TypeParam>);
    const View weight = tests::dry_view({C}, dtype_of<TypeParam>);
    const View rstd = tests::dry_view({N});
    const View optional = more ? matrix : View();
    rms_norm_forward(
        dry, {.residual = matrix, .branch = optional, .weight = weight, .sum = optional, .y = matrix, .rstd = rstd});
    rms_norm_backward(dry,
                      {.dy = matrix,
                       .sum = matrix,
                       .weight = weight,
                       .rstd = rstd,
                       .dresidual = optional,
                       .dx = matrix,
                       .dweight = tests::dry_view({C})},
                      tests::scratch());
    tests::expect_cost(
        cpu, dry,
        {.op = "rms_norm_forward", .flops = (more ? 5 : 4) * N * C, .bytes = s * ((more ? 4 : 2) * N * C + C) + 4 * N});
    tests::expect_cost(cpu, dry,
                       {.op = "rms_norm_backward",
                        .flops = (more ? 10 : 9) * N * C,
                        .bytes = s * ((more ? 4 : 3) * N * C + C) + 8 * C + 4 * N});
  }
}

TEST(RmsNormChecks, WrongShapesAndStoragesAreNamed) {
  tests::Random random;
  Stream stream(tests::device());
  Forward<bf16> forward(random, 3, 8, true);
  const auto forward_error = [&](const auto& change) {
    RmsNormForward args = forward.args();
    change(args);
    return tests::error_message([&] { rms_norm_forward(stream, args); });
  };
  const View floats = forward.rstd.view();
  EXPECT_EQ(forward_error([&](auto& args) { args.weight = floats; }),
            "rms_norm_forward: weight is (3) fp32, expected (8) bf16");
  EXPECT_EQ(forward_error([&](auto& args) { args.sum = {}; }),
            "rms_norm_forward: sum is () fp32, expected (3, 8) bf16");
  EXPECT_EQ(forward_error([&](auto& args) { args.branch = {}; }),
            "rms_norm_forward: sum is (3, 8) bf16, expected () bf16");
  EXPECT_EQ(forward_error([&](auto& args) { args.residual = args.residual.reshaped({24}); }),
            "rms_norm_forward: residual is (24) bf16, expected 2 axes");
  EXPECT_EQ(forward_error([&](auto& args) { args.residual.dtype = DType::i32; }),
            "rms_norm_forward: residual is (3, 8) i32, expected fp32 or bf16");
  EXPECT_EQ(forward_error([&](auto& args) { args.branch.dtype = DType::fp32; }),
            "rms_norm_forward: branch is (3, 8) fp32, expected (3, 8) bf16");
  EXPECT_EQ(forward_error([&](auto& args) { args.y.dtype = DType::fp32; }),
            "rms_norm_forward: y is (3, 8) fp32, expected (3, 8) bf16");
  EXPECT_EQ(forward_error([&](auto& args) { args.rstd.dtype = DType::bf16; }),
            "rms_norm_forward: rstd is (3) bf16, expected (3) fp32");

  Backward<bf16> backward(random, 3, 8, true);
  const auto backward_error = [&](const auto& change) {
    RmsNormBackward args = backward.args();
    change(args);
    return tests::error_message([&] { rms_norm_backward(stream, args, tests::scratch()); });
  };
  EXPECT_EQ(backward_error([&](auto& args) {
              args.dresidual = args.dy.reshaped({8, 3});
            }),
            "rms_norm_backward: dresidual is (8, 3) bf16, expected (3, 8) bf16");
  EXPECT_EQ(backward_error([&](auto& args) { args.sum.dtype = DType::fp32; }),
            "rms_norm_backward: sum is (3, 8) fp32, expected (3, 8) bf16");
  EXPECT_EQ(backward_error([&](auto& args) { args.weight = floats; }),
            "rms_norm_backward: weight is (3) fp32, expected (8) bf16");
  EXPECT_EQ(backward_error([&](auto& args) { args.rstd.dtype = DType::bf16; }),
            "rms_norm_backward: rstd is (3) bf16, expected (3) fp32");
  EXPECT_EQ(backward_error([&](auto& args) { args.dx.dtype = DType::fp32; }),
            "rms_norm_backward: dx is (3, 8) fp32, expected (3, 8) bf16");
  EXPECT_EQ(backward_error([&](auto& args) { args.dweight.dtype = DType::bf16; }),
            "rms_norm_backward: dweight is (8) bf16, expected (8) fp32");
  EXPECT_TRUE(stream.costs().by_op().empty()) << "a refused call costs nothing";
}

}  // namespace
}  // namespace trireme::runtime
