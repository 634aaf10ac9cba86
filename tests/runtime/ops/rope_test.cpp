#include "runtime/ops/rope.h"

#include "tests/reference/op_runs.h"
#include "tests/reference/rope.h"

namespace trireme::runtime {
namespace {

using tests::kStorageTolerance;
using tests::poisoned;
using tests::Random;
using tests::relative_error;
using tests::same_bits;
using tests::Tensor;

constexpr double kTheta = 500000;
constexpr int64_t kPositions = 300;

template <typename T>
class RopeOp : public testing::Test {};
using Storages = testing::Types<float, bf16>;
TYPED_TEST_SUITE(RopeOp, Storages);

constexpr AttentionShape kShapes[] = {{.B = 2, .T = 5, .H = 4, .K = 2, .D = 40},
                                      {.B = 1, .T = 1, .H = 3, .K = 1, .D = 2},
                                      {.B = 3, .T = 7, .H = 2, .K = 2, .D = 64},
                                      {.B = 1, .T = 131, .H = 6, .K = 3, .D = 10}};

Tensor<float> table_of(int64_t D, double theta = kTheta, int64_t positions = kPositions) {
  Tensor<float> table = poisoned({positions, D});
  Stream stream(tests::device());
  fill_rope_table(stream, theta, table.view());
  return table;
}

/// Rows of qkv at arbitrary positions, as prompts of different lengths have them.
template <typename T>
struct Case {
  AttentionShape shape;
  Tensor<float> table;
  Tensor<int32_t> positions;
  Tensor<T> qkv;

  Case(Random& random, const AttentionShape& shape_)
      : shape(shape_),
        table(table_of(shape.D)),
        positions(random.integers({shape.B * shape.T}, kPositions)),
        qkv(random.normals<T>({shape.B * shape.T, (shape.H + 2 * shape.K) * shape.D})) {}
  void run(Rotation rotation = Rotation::forward) {
    Stream stream(tests::device());
    rope(stream, shape,
         {.table = table.view(), .positions = positions.view(), .qkv = qkv.view(), .rotation = rotation});
  }
};

TEST(RopeTable, HoldsCosinesThenSines) {
  for (const int64_t D : {2, 10, 40, 128}) {
    const Tensor<float> table = table_of(D, 10000, 3000);
    for (int64_t i = 0; i < table.size(); ++i) {
      const double angle = tests::rope_angle(10000, D, i / D, i % D % (D / 2));
      // Half a unit of rounding of a number up to 1 in fp32; the angles are good to 1e-12.
      ASSERT_NEAR(table[i], i % D < D / 2 ? std::cos(angle) : std::sin(angle), 3.1e-8) << i << " of D " << D;
    }
  }
}

TYPED_TEST(RopeOp, MatchesFloat64ComplexRotationAndLeavesV) {
  Random random;
  for (const AttentionShape& shape : kShapes) {
    const auto [B, T, H, K, D] = shape;
    Case<TypeParam> given(random, shape);
    const Tensor<TypeParam> before = given.qkv;
    std::vector<double> expected = tests::to_double(before);
    const int64_t width = (H + 2 * K) * D;
    for (int64_t n = 0; n < B * T; ++n) {
      for (int64_t h = 0; h < H + K; ++h) {
        const std::span head(expected.data() + n * width + h * D, static_cast<size_t>(D));
        tests::rope_reference(kTheta, given.positions[n], head);
      }
    }
    given.run();
    EXPECT_LE(relative_error(given.qkv, expected), kStorageTolerance<TypeParam>) << "D " << D;
    for (int64_t i = 0; i < given.qkv.size(); ++i) {
      if (i % width < (H + K) * D) continue;
      ASSERT_EQ(given.qkv[i], before[i]) << "v at " << i;
    }
  }
}

// transformers' modeling_llama: q * cos + rotate_half(q) * sin with rotate_half([a, b, c, d]) = [-c, -d, a, b]; at
// position 1, theta 10000, D = 4 the angles are 1, 0.01, 1, 0.01.
TYPED_TEST(RopeOp, IsTheHalfSplitFormOfHuggingFace) {
  const Tensor<float> table = table_of(4, 10000);
  const Tensor<int32_t> positions({1}, 1);
  Tensor<TypeParam> qkv({1, 12});
  for (int64_t i = 0; i < 12; ++i) qkv[i] = static_cast<float>(1 + i % 4);  // q, k and v are [1, 2, 3, 4]
  Stream stream(tests::device());
  rope(stream, {.B = 1, .T = 1, .H = 1, .K = 1, .D = 4},
       {.table = table.view(), .positions = positions.view(), .qkv = qkv.view()});
  const double turned[] = {-1.98411065, 1.95990067, 2.46237790, 4.01979967};
  for (int64_t i = 0; i < 12; ++i) {
    const double expected = i < 8 ? turned[i % 4] : static_cast<double>(1 + i % 4);
    // Numbers from 4 on are rounded by up to 2.4e-7 in fp32, by 2^-6 in bf16; the digits above end at 5e-9.
    EXPECT_NEAR(qkv[i], expected, (std::is_same_v<TypeParam, bf16> ? 0x1p-6 : 1e-6)) << i;
  }
}

TYPED_TEST(RopeOp, BackwardUndoesForward) {
  Random random;
  for (const AttentionShape& shape : kShapes) {
    Case<TypeParam> given(random, shape);
    const std::vector<double> before = tests::to_double(given.qkv);
    given.run(Rotation::forward);
    // It did turn; a single token may be at position 0, or come round to where it was.
    if (shape.T > 1) {
      EXPECT_GE(relative_error(given.qkv, before), 0.1);
    }
    given.run(Rotation::backward);
    EXPECT_LE(relative_error(given.qkv, before), kStorageTolerance<TypeParam>);
  }
}

// The gradient of sum(g * rope(x)) over x is the transpose applied to g.
TYPED_TEST(RopeOp, BackwardIsTheTranspose) {
  Random random;
  Case<TypeParam> x(random, kShapes[0]);
  Case<TypeParam> g = x;
  g.qkv = random.normals<TypeParam>(x.qkv.shape);
  const std::vector<double> x_before = tests::to_double(x.qkv);
  const std::vector<double> g_before = tests::to_double(g.qkv);
  x.run(Rotation::forward);
  g.run(Rotation::backward);
  double forward = 0;
  double backward = 0;
  double scale = 0;
  for (int64_t i = 0; i < x.qkv.size(); ++i) {
    forward += g_before[static_cast<size_t>(i)] * x.qkv[i];
    backward += g.qkv[i] * x_before[static_cast<size_t>(i)];
    scale += std::abs(g.qkv[i] * x_before[static_cast<size_t>(i)]);
  }
  EXPECT_NEAR(forward, backward, kStorageTolerance<TypeParam> * scale);
}

TYPED_TEST(RopeOp, RowsAloneAndThreadsGiveTheSameBits) {
  Random random;
  Case<TypeParam> alone(random, kShapes[3]);
  const Case<TypeParam> before = alone;
  {
    const tests::Threads one(1);
    alone.run();
  }
  for (const int threads : {2, 3, 5}) {
    const tests::Threads guard(threads);
    Case<TypeParam> given = before;
    given.run();
    EXPECT_TRUE(same_bits(given.qkv, alone.qkv)) << threads;
  }
  Case<TypeParam> rows = before;
  AttentionShape one_token = rows.shape;
  one_token.T = 1;
  Stream stream(tests::device());
  for (int64_t t = 0; t < rows.shape.T; ++t) {
    rope(
        stream, one_token,
        {.table = rows.table.view(), .positions = rows.positions.view().rows(t, 1), .qkv = rows.qkv.view().rows(t, 1)});
  }
  EXPECT_TRUE(same_bits(rows.qkv, alone.qkv));
}

TYPED_TEST(RopeOp, DryCostsWhatCpuCosts) {
  constexpr DType kStorage = dtype_of<TypeParam>;
  constexpr int64_t s = sizeof(TypeParam);
  Random random;
  Case<TypeParam> given(random, kShapes[0]);
  const auto [B, T, H, K, D] = given.shape;
  Stream cpu(tests::device());
  Stream dry(Device::dry);
  fill_rope_table(cpu, kTheta, given.table.view());
  fill_rope_table(dry, kTheta, tests::dry_view({kPositions, D}));
  rope(cpu, given.shape, {.table = given.table.view(), .positions = given.positions.view(), .qkv = given.qkv.view()});
  rope(dry, given.shape,
       {.table = tests::dry_view({kPositions, D}),
        .positions = tests::dry_view({B * T}, DType::i32),
        .qkv = tests::dry_view(given.qkv.shape, kStorage)});
  const int64_t n = B * T * (H + K) * D;
  tests::expect_cost(cpu, dry, {.op = "rope", .flops = 3 * n, .bytes = 2 * s * n + 4 * B * T * (1 + D)});
  tests::expect_cost(cpu, dry, {.op = "fill_rope_table", .flops = 2 * kPositions * D, .bytes = 4 * kPositions * D});
}

TEST(RopeOperands, WrongOnesAreNamed) {
  Stream stream(Device::dry);
  const AttentionShape shape = {.B = 2, .T = 3, .H = 4, .K = 2, .D = 10};
  const Rope args = {.table = tests::dry_view({7, 10}),
                     .positions = tests::dry_view({6}, DType::i32),
                     .qkv = tests::dry_view({6, 80})};
  const auto message = [&](const AttentionShape& with_shape, const Rope& with_args) {
    return tests::error_message([&] { rope(stream, with_shape, with_args); });
  };
  AttentionShape odd = shape;
  odd.D = 5;
  EXPECT_EQ(message(odd, args), "rope: a head is 5 wide, expected an even width: channels turn in pairs");
  EXPECT_EQ(tests::error_message([&] {
              fill_rope_table(stream, kTheta, tests::dry_view({7, 5}));
            }),
            "fill_rope_table: a head is 5 wide, expected an even width: channels turn in pairs");
  EXPECT_EQ(tests::error_message([&] {
              fill_rope_table(stream, 0, tests::dry_view({7, 4}));
            }),
            "fill_rope_table: theta is 0.000000, expected above 0");
  EXPECT_EQ(tests::error_message([&] {
              fill_rope_table(stream, kTheta, tests::dry_view({7, 4}, DType::bf16));
            }),
            "fill_rope_table: table is (7, 4) bf16, expected (7, 4) fp32");
  Rope wrong = args;
  wrong.qkv = tests::dry_view({6, 70});
  EXPECT_EQ(message(shape, wrong), "rope: qkv is (6, 70) fp32, expected (6, 80) fp32");
  wrong.qkv = tests::dry_view({6, 80}, DType::i32);
  EXPECT_EQ(message(shape, wrong), "rope: qkv is (6, 80) i32, expected fp32 or bf16");
  wrong = args;
  wrong.table = tests::dry_view({7, 8});
  EXPECT_EQ(message(shape, wrong), "rope: table is (7, 8) fp32, expected (7, 10) fp32");
  wrong = args;
  wrong.positions = tests::dry_view({5}, DType::i32);
  EXPECT_EQ(message(shape, wrong), "rope: positions is (5) i32, expected (6) i32");
}

}  // namespace
}  // namespace trireme::runtime
