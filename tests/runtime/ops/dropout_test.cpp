#include "runtime/ops/dropout.h"

#include "runtime/philox.h"
#include "tests/reference/op_runs.h"

namespace trireme::runtime {
namespace {

using tests::poisoned;
using tests::same_bits;
using tests::Tensor;

/// The header's rule, one element at a time.
bool kept(const DropoutSite& site, int64_t sample, int64_t position, int64_t channel) {
  const auto index = static_cast<uint64_t>(sample);
  const PhiloxCounter counter = {static_cast<uint32_t>(channel / 4), static_cast<uint32_t>(position),
                                 site.site | static_cast<uint32_t>(index & 0xffff) << 16,
                                 static_cast<uint32_t>(index >> 16)};
  const PhiloxCounter words = philox(counter, philox_key(site.seed));
  return unit_float(words[static_cast<size_t>(channel % 4)]) >= site.probability;
}

template <typename T>
class Dropout : public testing::Test {};
using Storages = testing::Types<float, bf16>;
TYPED_TEST_SUITE(Dropout, Storages);

/// A microbatch of shape (B, T, C).
template <typename T>
struct Case {
  DropoutSite site;
  int64_t sequence_length;
  Tensor<int64_t> samples;
  Tensor<T> x;
  Tensor<T> y;

  Case(tests::Random& random, Shape shape, float probability)
      : site{.seed = static_cast<uint64_t>(random.below(INT64_MAX)),
             .site = static_cast<uint16_t>(random.below(65536)),
             .probability = probability},
        sequence_length(shape[1]),
        samples({shape[0]}),
        x(random.normals<T>({shape[0] * shape[1], shape[2]})),
        y(poisoned<T>(x.shape)) {
    for (int64_t& sample : samples.values) sample = random.below(int64_t{1} << 48);
  }
  DropoutRows rows(int64_t first_row = 0) const {
    return {.samples = samples.view(), .T = sequence_length, .first_row = first_row};
  }
  void run() {
    Stream stream(tests::device());
    dropout(stream, site, rows(), x.view(), y.view());
  }
};

TYPED_TEST(Dropout, FollowsTheCounterLayout) {
  tests::Random random;
  for (const int64_t C : {1, 4, 7, 64, 65, 130}) {
    Case<TypeParam> given(random, {3, 5, C}, 0.3f);
    given.run();
    for (int64_t i = 0; i < given.x.size(); ++i) {
      const bool keep = kept(given.site, given.samples[i / C / 5], i / C % 5, i % C);
      // Bit for bit: one multiplication by the rounded factor, stored.
      const TypeParam expected = keep ? given.x[i] * (1 / (1 - 0.3f)) : 0.0f;
      EXPECT_EQ(given.y[i], expected) << "element " << i << " of C " << C;
    }
  }
}

TYPED_TEST(Dropout, ProbabilityZeroIsACopy) {
  tests::Random random;
  Case<TypeParam> given(random, {2, 3, 7}, 0);
  given.run();
  EXPECT_TRUE(same_bits(given.x, given.y));
}

TYPED_TEST(Dropout, InPlaceAndSplitBySequenceGiveTheSame) {
  tests::Random random;
  Case<TypeParam> given(random, {4, 3, 70}, 0.5f);
  given.run();
  Case<TypeParam> again = given;
  Stream stream(tests::device());
  for (int64_t b = 0; b < 4; ++b) {
    const View rows = again.x.view().rows(3 * b, 3);
    dropout(stream, again.site, {.samples = again.samples.view().rows(b, 1), .T = 3}, rows, rows);
  }
  EXPECT_TRUE(same_bits(again.x, given.y));
}

// What ranks of a group do that share the tokens of a microbatch: parts within sequences, over their ends, and empty.
TYPED_TEST(Dropout, AnyCutOfTheRowsGivesTheBitsOfTheWhole) {
  tests::Random random;
  for (const Shape& shape : {Shape{3, 7, 50}, Shape{1, 9, 64}, Shape{4, 5, 1032}}) {
    Case<TypeParam> whole(random, shape, 0.3f);
    whole.run();
    const int64_t N = shape[0] * shape[1];
    for (const int64_t count : {int64_t{1}, int64_t{4}, int64_t{10}, N}) {
      Case<TypeParam> parts = whole;
      parts.y = poisoned<TypeParam>(parts.x.shape);
      Stream stream(tests::device());
      for (int64_t begin = 0; begin < N; begin += count) {
        const int64_t rows = std::min(count, N - begin);
        dropout(stream, parts.site, parts.rows(begin), parts.x.view().rows(begin, rows),
                parts.y.view().rows(begin, rows));
      }
      dropout(stream, parts.site, parts.rows(N), parts.x.view().rows(N, 0), parts.y.view().rows(N, 0));
      EXPECT_TRUE(same_bits(parts.y, whole.y)) << to_string(shape) << " in parts of " << count;
    }
  }
}

TYPED_TEST(Dropout, ThreadsGiveTheSameBits) {
  tests::Random random;
  for (const Shape& shape : {Shape{3, 7, 50}, Shape{1, 1, 1}, Shape{1, 13, 65}, Shape{5, 1, 131}}) {
    Case<TypeParam> alone(random, shape, 0.1f);
    Case<TypeParam> given = alone;
    {
      const tests::Threads one(1);
      alone.run();
    }
    for (const int threads : {2, 3, 5}) {
      const tests::Threads guard(threads);
      given.y = poisoned<TypeParam>(given.x.shape);
      given.run();
      EXPECT_TRUE(same_bits(alone.y, given.y)) << to_string(shape) << " with " << threads << " threads";
    }
  }
}

TEST(DropoutBits, DoNotDependOnTheStorage) {
  tests::Random random;
  for (const float probability : {0.1f, 0.5f, 0.9f}) {
    Case<float> full(random, {3, 5, 67}, probability);
    Case<bf16> half(random, {3, 5, 67}, probability);
    half.site = full.site;
    half.samples = full.samples;
    std::ranges::fill(full.x.values, 1.0f);
    std::ranges::fill(half.x.values, 1.0f);
    full.run();
    half.run();
    for (int64_t i = 0; i < full.y.size(); ++i) ASSERT_EQ(half.y[i] == 0, full.y[i] == 0) << i;
  }
}

TYPED_TEST(Dropout, KeepsTheStatedShare) {
  tests::Random random;
  for (const float probability : {0.1f, 0.5f, 0.9f}) {
    Case<TypeParam> given(random, {4, 256, 256}, probability);
    std::ranges::fill(given.x.values, 1.0f);
    given.run();
    double zeros = 0;
    for (const float value : given.y.values) zeros += value == 0;
    const auto n = static_cast<double>(given.y.size());
    // Six standard deviations of the binomial: one run in 5e8 fails by chance.
    EXPECT_NEAR(zeros / n, probability, 6 * std::sqrt(probability * (1 - probability) / n));
  }
}

TYPED_TEST(Dropout, SitesAndSeedsDiffer) {
  tests::Random random;
  Case<TypeParam> given(random, {1, 4, 64}, 0.5f);
  Case<TypeParam> other_site = given;
  other_site.site.site ^= 1;
  Case<TypeParam> other_seed = given;
  other_seed.site.seed ^= uint64_t{1} << 40;
  for (Case<TypeParam>* run : {&given, &other_site, &other_seed}) run->run();
  EXPECT_FALSE(same_bits(given.y, other_site.y));
  EXPECT_FALSE(same_bits(given.y, other_seed.y));
}

TYPED_TEST(Dropout, NotFiniteInputsShowEvenWhereDropped) {
  tests::Random random;
  Case<TypeParam> given(random, {1, 4, 64}, 0.5f);
  std::ranges::fill(given.x.values, INFINITY);
  given.run();
  for (const float value : given.y.values) EXPECT_FALSE(std::isfinite(value));
}

TYPED_TEST(Dropout, DryCostsWhatCpuCosts) {
  tests::Random random;
  for (const float probability : {0.0f, 0.5f}) {
    Case<TypeParam> given(random, {2, 3, 7}, probability);
    Stream cpu(tests::device());
    Stream dry(Device::dry);
    dropout(cpu, given.site, given.rows(), given.x.view(), given.y.view());
    const View view = tests::dry_view({6, 7}, dtype_of<TypeParam>);
    dropout(dry, given.site, {.samples = tests::dry_view({2}, DType::i64), .T = 3}, view, view);
    const auto s = static_cast<int64_t>(sizeof(TypeParam));
    tests::expect_cost(cpu, dry, {.op = "dropout", .flops = 2 * 3 * 7, .bytes = 2 * s * 2 * 3 * 7 + 8 * 2});
  }
}

TEST(DropoutOperands, WrongOnesAreNamed) {
  tests::Random random;
  Case<float> given(random, {2, 3, 7}, 0.5f);
  Stream stream(tests::device());
  const auto message = [&](const DropoutSite& site, const DropoutRows& rows, ConstView x) {
    return tests::error_message([&] { dropout(stream, site, rows, x, given.y.view()); });
  };
  const Tensor<int32_t> ids({6, 7});
  EXPECT_EQ(message(given.site, {.samples = ids.view().reshaped({42}), .T = 3}, given.x.view()),
            "dropout: samples is (42) i32, expected (42) i64");
  EXPECT_EQ(message(given.site, {.samples = given.samples.view().rows(0, 1), .T = 3}, given.x.view()),
            "dropout: 6 rows from 0, expected some of 1 x 3");
  EXPECT_EQ(message(given.site, given.rows(1), given.x.view()), "dropout: 6 rows from 1, expected some of 2 x 3");
  EXPECT_EQ(message(given.site, given.rows(-1), given.x.view()), "dropout: 6 rows from -1, expected some of 2 x 3");
  EXPECT_EQ(message(given.site, given.rows(), given.x.view().reshaped({2, 3, 7})),
            "dropout: x is (2, 3, 7) fp32, expected 2 axes");
  EXPECT_EQ(message({.probability = 1}, given.rows(), given.x.view()),
            "dropout: probability is 1.000000, expected [0, 1)");
  const Tensor<bf16> other({6, 7});
  EXPECT_EQ(message(given.site, given.rows(), other.view()), "dropout: y is (6, 7) fp32, expected (6, 7) bf16");
  EXPECT_EQ(message(given.site, given.rows(), ids.view()), "dropout: x is (6, 7) i32, expected fp32 or bf16");
}

}  // namespace
}  // namespace trireme::runtime
