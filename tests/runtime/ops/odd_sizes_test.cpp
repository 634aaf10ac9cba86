// Elementwise ops at sizes around vectors, warps and blocks of a GPU, at addresses that no vector fits, and in many
// blocks: every element is right, and none beside them is touched.
#include "runtime/ops/adamw.h"
#include "runtime/ops/dropout.h"
#include "runtime/ops/elementwise.h"
#include "runtime/ops/gelu.h"
#include "runtime/ops/positions.h"
#include "runtime/ops/rope.h"
#include "runtime/ops/swiglu.h"
#include "tests/reference/gelu.h"
#include "tests/reference/op_runs.h"
#include "tests/reference/swiglu.h"

namespace trireme::runtime {
namespace {

using tests::kStorageTolerance;
using tests::poisoned;
using tests::Random;
using tests::relative_error;
using tests::same_bits;
using tests::Tensor;

constexpr int64_t kSizes[] = {1, 3, 4, 5, 7, 8, 9, 31, 33, 255, 257, 2047, 4095, 4096, 4097, 20003};
constexpr int64_t kOffsets[] = {0, 1, 4};  // elements off an aligned address; 4 fit a vector of fp32, not one of bf16

/// A tensor inside a longer one, whose other elements must stay what they are.
template <typename T>
struct Inner {
  static constexpr int64_t kBehind = 9;
  Tensor<T> whole;
  int64_t offset;
  Shape shape;

  Inner(const Tensor<T>& values, int64_t offset_)
      : whole({offset_ + values.size() + kBehind}, T(77.0f)), offset(offset_), shape(values.shape) {
    std::ranges::copy(values.values, whole.values.begin() + offset);
  }
  Inner(Shape shape_, int64_t offset_) : Inner(poisoned<T>(shape_), offset_) {}
  View view() { return whole.view().range(offset, shape); }
  Tensor<T> values() const {
    Tensor<T> inside(shape);
    std::copy_n(whole.values.begin() + offset, inside.size(), inside.values.begin());
    return inside;
  }
  bool is_whole_outside() const {
    for (int64_t i = 0; i < whole.size(); ++i) {
      if (i == offset) i += shape.elements();
      if (whole[i] != T(77.0f)) return false;
    }
    return true;
  }
};

template <typename T>
class OddSizes : public testing::Test {};
using Storages = testing::Types<float, bf16>;
TYPED_TEST_SUITE(OddSizes, Storages);

TYPED_TEST(OddSizes, GeluAndAdd) {
  Random random;
  Stream stream(tests::device());
  for (const int64_t n : kSizes) {
    for (const int64_t offset : kOffsets) {
      SCOPED_TRACE(testing::Message() << n << " elements from " << offset);
      Inner<TypeParam> x(random.normals<TypeParam>({n}), offset);
      Inner<TypeParam> dy(random.normals<TypeParam>({n}), offset);
      Inner<TypeParam> y({n}, offset), dx({n}, offset), sum({n}, offset);
      gelu_forward(stream, x.view(), y.view());
      gelu_backward(stream, x.view(), dy.view(), dx.view());
      add(stream, x.view(), dy.view(), sum.view());
      const Tensor<TypeParam> from = x.values(), d = dy.values(), total = sum.values();
      std::vector<double> y_expected;
      std::vector<double> dx_expected;
      for (int64_t i = 0; i < n; ++i) {
        y_expected.push_back(tests::gelu_reference(from[i]));
        dx_expected.push_back(d[i] * tests::gelu_derivative_reference(from[i]));
        ASSERT_EQ(total[i], TypeParam(float(from[i]) + float(d[i]))) << i;
      }
      EXPECT_LE(relative_error(y.values(), y_expected), kStorageTolerance<TypeParam>);
      // Relative to the whole: the slope of gelu has a zero, which one value alone may hit.
      if (n > 1) {
        EXPECT_LE(relative_error(dx.values(), dx_expected), kStorageTolerance<TypeParam>);
      }
      EXPECT_TRUE(y.is_whole_outside() && dx.is_whole_outside() && sum.is_whole_outside());
    }
  }
}

TYPED_TEST(OddSizes, CastsAndFills) {
  Random random;
  Stream stream(tests::device());
  for (const int64_t n : kSizes) {
    for (const int64_t offset : kOffsets) {
      SCOPED_TRACE(testing::Message() << n << " elements from " << offset);
      Inner<TypeParam> x(random.normals<TypeParam>({n}), offset);
      Inner<TypeParam> same({n}, offset), filled({n}, offset);
      Inner<float> full({n}, offset);
      Inner<bf16> half({n}, offset);
      cast(stream, x.view(), same.view());
      cast(stream, x.view(), full.view());
      cast(stream, x.view(), half.view());
      fill(stream, filled.view(), 0.1);
      const Tensor<TypeParam> from = x.values(), copied = same.values(), constant = filled.values();
      const Tensor<float> widened = full.values();
      const Tensor<bf16> rounded = half.values();
      EXPECT_TRUE(same_bits(copied, from));
      for (int64_t i = 0; i < n; ++i) {
        ASSERT_EQ(widened[i], float(from[i])) << i;
        ASSERT_EQ(rounded[i].bits, bf16(float(from[i])).bits) << i;
        ASSERT_EQ(constant[i], TypeParam(0.1f)) << i;
      }
      EXPECT_TRUE(same.is_whole_outside() && full.is_whole_outside() && half.is_whole_outside());
      EXPECT_TRUE(filled.is_whole_outside());
    }
  }
}

TYPED_TEST(OddSizes, Swiglu) {
  Random random;
  Stream stream(tests::device());
  for (const auto& [N, F] :
       {std::pair<int64_t, int64_t>{1, 1}, {3, 7}, {5, 8}, {2, 20}, {7, 520}, {3, 2056}, {300, 8}}) {
    for (const int64_t offset : kOffsets) {
      SCOPED_TRACE(testing::Message() << N << " x " << F << " from " << offset);
      Inner<TypeParam> x(random.normals<TypeParam>({N, 2 * F}), offset);
      Inner<TypeParam> dy(random.normals<TypeParam>({N, F}), offset);
      Inner<TypeParam> y({N, F}, offset), dx({N, 2 * F}, offset);
      swiglu_forward(stream, x.view(), y.view());
      swiglu_backward(stream, x.view(), dy.view(), dx.view());
      const Tensor<TypeParam> from = x.values(), d = dy.values();
      std::vector<double> y_expected;
      std::vector<double> dx_expected(static_cast<size_t>(N * 2 * F));
      for (int64_t i = 0; i < N * F; ++i) {
        const int64_t at = i / F * 2 * F + i % F;
        const double gate = from[at], up = from[at + F];
        y_expected.push_back(tests::silu_reference(gate) * up);
        dx_expected[static_cast<size_t>(at)] = d[i] * up * tests::silu_derivative_reference(gate);
        dx_expected[static_cast<size_t>(at + F)] = d[i] * tests::silu_reference(gate);
      }
      // Relative to the whole: the slope of silu has a zero. One row of one alone may hit it.
      if (N * F > 1) {
        EXPECT_LE(relative_error(dx.values(), dx_expected), kStorageTolerance<TypeParam>);
      }
      EXPECT_LE(relative_error(y.values(), y_expected), kStorageTolerance<TypeParam>);
      EXPECT_TRUE(y.is_whole_outside() && dx.is_whole_outside());
    }
  }
}

TYPED_TEST(OddSizes, DropoutIsTheCpusToTheBit) {
  Random random;
  Stream stream(tests::device());
  Stream cpu(Device::cpu);
  // The last probability is below the least step of the uniform numbers, the one before it is the largest below 1.
  for (const float probability : {0.3f, 0x1.fffffep-1f, 0x1p-26f}) {
    for (const Shape& shape : {Shape{1, 1, 1}, Shape{2, 3, 6}, Shape{3, 5, 64}, Shape{2, 300, 16}, Shape{1, 2, 4104}}) {
      for (const int64_t offset : kOffsets) {
        SCOPED_TRACE(testing::Message() << to_string(shape) << " from " << offset << ", " << probability);
        const DropoutSite site = {.seed = static_cast<uint64_t>(random.below(INT64_MAX)),
                                  .site = static_cast<uint16_t>(random.below(65536)),
                                  .probability = probability};
        Tensor<int64_t> samples({shape[0]});
        for (int64_t& sample : samples.values) sample = random.below(int64_t{1} << 48);
        Inner<TypeParam> x(random.normals<TypeParam>(shape), offset);
        Inner<TypeParam> y(shape, offset), expected(shape, offset);
        const Shape flat{shape[0] * shape[1], shape[2]};
        const DropoutRows rows{.samples = samples.view(), .T = shape[1]};
        dropout(stream, site, rows, x.view().reshaped(flat), y.view().reshaped(flat));
        dropout(cpu, site, rows, x.view().reshaped(flat), expected.view().reshaped(flat));
        EXPECT_TRUE(same_bits(y.whole, expected.whole));
      }
    }
  }
}

TYPED_TEST(OddSizes, RopeIsTheCpus) {
  Random random;
  Stream stream(tests::device());
  Stream cpu(Device::cpu);
  for (const AttentionShape& shape : {AttentionShape{.B = 2, .T = 3, .H = 1, .K = 1, .D = 2},
                                      {.B = 1, .T = 9, .H = 3, .K = 1, .D = 24},
                                      {.B = 1, .T = 70, .H = 2, .K = 1, .D = 16},
                                      {.B = 1, .T = 3, .H = 40, .K = 8, .D = 128},
                                      {.B = 1, .T = 2, .H = 2, .K = 2, .D = 600}}) {
    for (const int64_t offset : kOffsets) {
      SCOPED_TRACE(testing::Message() << "D " << shape.D << " from " << offset);
      Tensor<float> table({50, shape.D});
      fill_rope_table(cpu, 10000, table.view());
      const int64_t tokens = shape.B * shape.T;
      const Tensor<int32_t> positions = random.integers({tokens}, 50);
      Inner<TypeParam> qkv(random.normals<TypeParam>({tokens, (shape.H + 2 * shape.K) * shape.D}), offset);
      Inner<TypeParam> expected = qkv;
      for (const Rotation rotation : {Rotation::forward, Rotation::backward}) {
        rope(stream, shape,
             {.table = table.view(), .positions = positions.view(), .qkv = qkv.view(), .rotation = rotation});
        rope(cpu, shape,
             {.table = table.view(), .positions = positions.view(), .qkv = expected.view(), .rotation = rotation});
        EXPECT_LE(relative_error(qkv.values(), tests::to_double(expected.values())), kStorageTolerance<TypeParam>);
      }
      EXPECT_TRUE(qkv.is_whole_outside());
    }
  }
}

TEST(OddSizesOfSums, DoNotDependOnTheAddress) {
  Random random;
  Stream stream(tests::device());
  for (const int64_t n : kSizes) {
    const Tensor<float> x = random.normals({n});
    double expected = 0;
    for (const float value : x.values) expected += static_cast<double>(value) * value;
    std::vector<double> sums;
    for (const int64_t offset : kOffsets) {
      Inner<float> inner(x, offset);
      Tensor<double> total({1});
      add_sum_of_squares(stream, inner.view(), total.view(), tests::scratch());
      sums.push_back(total[0]);
    }
    EXPECT_EQ(sums, std::vector<double>(sums.size(), sums[0])) << n;
    EXPECT_NEAR(sums[0], expected, 1e-11 * expected) << n;  // fp64 in another order
  }
}

TEST(OddSizesOfNormals, AreOneTensor) {
  constexpr NormalSource kSource = {.seed = 1, .name_hash = 2, .standard_deviation = 3};
  Stream stream(tests::device());
  Tensor<float> whole({20100});
  fill_normal(stream, kSource, 0, whole.view());
  for (const int64_t n : kSizes) {
    for (const int64_t offset : kOffsets) {
      for (const int64_t begin : {0, 3, 4, 66}) {
        Inner<float> y({n}, offset);
        fill_normal(stream, kSource, begin, y.view());
        const Tensor<float> values = y.values();
        ASSERT_TRUE(std::equal(values.values.begin(), values.values.end(), whole.values.begin() + begin)) << n;
        ASSERT_TRUE(y.is_whole_outside()) << n;
      }
    }
  }
}

TEST(OddSizesOfAdamW, DoNotChangeABit) {
  Random random;
  Stream stream(tests::device());
  Tensor<float> schedule({4});
  std::ranges::copy(adamw_schedule(0.1, 0.9, 0.95, 3), schedule.values.begin());
  schedule[3] = 0.5f;
  const ElementRange undecayed[] = {{2, 5}, {100, 2000}};
  for (const int64_t n : kSizes) {
    AdamWConstants constants = {.weight_decay = 0.1f};
    if (n > 2000) constants.undecayed = undecayed;
    const Tensor<float> parameter = random.normals({n}), gradient = random.normals({n}), m = random.normals({n});
    Tensor<float> v({n});
    for (float& value : v.values) value = random.uniform(0, 1);
    std::vector<Tensor<float>> updated;
    for (const int64_t offset : kOffsets) {
      Inner<float> p(parameter, offset), g(gradient, offset), m_of(m, offset), v_of(v, offset);
      Inner<bf16> compute({n}, offset);
      adamw_update(stream, constants,
                   {.parameter = p.view(),
                    .gradient = g.view(),
                    .m = m_of.view(),
                    .v = v_of.view(),
                    .compute = compute.view(),
                    .schedule = std::as_const(schedule).view()});
      updated.push_back(p.values());
      EXPECT_TRUE(same_bits(updated.back(), updated.front())) << n << " from " << offset;
      EXPECT_FALSE(same_bits(updated.back(), parameter));
      const Tensor<bf16> twin = compute.values();
      for (int64_t i = 0; i < n; ++i) ASSERT_EQ(twin[i].bits, bf16(updated.back()[i]).bits) << i << " of " << n;
      EXPECT_TRUE(p.is_whole_outside() && g.is_whole_outside() && m_of.is_whole_outside() && v_of.is_whole_outside());
      EXPECT_TRUE(compute.is_whole_outside());
    }
  }
}

TEST(OddSizesOfPositions, CountInManyBlocks) {
  Stream stream(tests::device());
  Tensor<int32_t> positions({7 * 300}, -1);
  fill_positions(stream, 11, 300, positions.view());
  for (int64_t i = 0; i < positions.size(); ++i) ASSERT_EQ(positions[i], 11 + i % 300);
}

}  // namespace
}  // namespace trireme::runtime
