#include "runtime/ops/loss.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>
#include <thread>
#include <type_traits>

#include "runtime/dry_communicator.h"
#include "runtime/local_ranks.h"
#include "tests/reference/loss.h"
#include "tests/reference/op_runs.h"

namespace trireme::runtime {
namespace {

using tests::poisoned;
using tests::same_bits;
using tests::Tensor;
using tests::to_double;

template <typename T>
class Loss : public testing::Test {};
using Storages = testing::Types<float, bf16>;
TYPED_TEST_SUITE(Loss, Storages);

/// Half of the last place of a stored value, relative to it.
template <typename T>
constexpr double kRounding = std::is_same_v<T, bf16> ? 0x1p-8 : 0x1p-24;

template <typename T>
struct Case {
  Tensor<T> logits;
  Tensor<int32_t> targets;
  Tensor<float> partials;
  Tensor<double> totals;

  Case(tests::Random& random, int64_t N, int64_t V, float scale = 3)
      : logits(random.normals<T>({N, V}, scale)),
        targets(random.integers({N}, V)),
        partials(poisoned({N, 3})),
        totals({2}, 0) {}

  /// The three ops alone; logits become the gradient.
  void run() {
    Stream stream(tests::device());
    Arena scratch = tests::shared_arena("scratch", 0);  // alone it takes nothing
    const std::unique_ptr<Communicator> alone = solo_communicator();
    loss_partials(stream, logits.view(), targets.view(), 0, partials.view());
    loss_combine(stream, *alone, targets.view(), partials.view(), totals.view(), scratch);
    loss_gradient(stream, partials.view(), targets.view(), 0, logits.view());
  }
};

/// Where exp(logit - max) counts for the sum its relative error is below 1e-6 (3e-7 of fast_exp, 6e-8 * 10 of the
/// argument), and the sum, taken in vector lanes by blocks, adds less: 2e-6 absolute in the logarithm, whatever the
/// storage of the logits. Everything else of the loss is fp64. Not relative: the loss of a sure prediction is the
/// difference of equal numbers.
void expect_totals(const Tensor<double>& totals, const tests::NaiveLoss& expected) {
  EXPECT_NEAR(totals[0], expected.sum, 2e-6 * expected.count);
  EXPECT_EQ(totals[1], expected.count);
}

/// Every probability within 1e-5: the errors of the sum and up to 87 * 6e-8 of the argument; below exp(-87) it is 0.
/// The target's entry is p - 1, which cancels when p is near 1. Each is rounded once to its storage.
template <typename T>
void expect_gradient(const Tensor<T>& gradient, const std::vector<double>& expected, const Tensor<int32_t>& targets) {
  const int64_t V = gradient.shape[1];
  for (int64_t i = 0; i < gradient.size(); ++i) {
    const double value = expected[static_cast<size_t>(i)];
    const bool is_target = targets[i / V] == i % V;
    const double tolerance = kRounding<T> * std::abs(value) + (is_target ? 2e-6 : 1e-5 * value + 1e-37);
    ASSERT_NEAR(gradient[i], value, tolerance) << "token " << i / V << ", entry " << i % V;
  }
}

template <typename T>
void expect_matches(Case<T>& given) {
  const tests::NaiveLoss expected = tests::naive_loss(to_double(given.logits), given.targets.values);
  given.run();
  expect_totals(given.totals, expected);
  expect_gradient(given.logits, expected.dlogits, given.targets);
}

TYPED_TEST(Loss, MatchesFloat64) {
  tests::Random random;
  for (const auto& [N, V] : {std::pair<int64_t, int64_t>{1, 2}, {1, 50257}, {5, 7}, {33, 257}, {3, 50257}}) {
    SCOPED_TRACE(testing::Message() << "N " << N << ", V " << V);
    Case<TypeParam> given(random, N, V);
    expect_matches(given);
  }
}

// Around vectors of 16 bytes, warps, blocks and the rows that a thread of the GPU has under way; where V is odd each
// row is aligned differently. Targets lie at both ends of a row, where single elements are.
TYPED_TEST(Loss, SizesAroundVectorsAndBlocksMatchFloat64) {
  tests::Random random;
  for (const int64_t V : {1, 2, 3, 4, 8, 9, 15, 17, 31, 33, 129, 255, 257, 1025, 2047, 4099, 8191, 8201, 10247}) {
    SCOPED_TRACE(testing::Message() << "V " << V);
    Case<TypeParam> given(random, 9, V);
    for (int64_t i = 0; i < 8; ++i) {
      given.targets[i] = static_cast<int32_t>(i % 2 == 0 ? std::min(i, V - 1) : std::max(int64_t{0}, V - i));
    }
    expect_matches(given);
  }
}

TYPED_TEST(Loss, ManyTokensMatchFloat64) {
  tests::Random random;
  Case<TypeParam> given(random, 2500, 5);
  given.targets[2400] = -1;
  expect_matches(given);
}

TYPED_TEST(Loss, IgnoredTargetsCountForNothing) {
  tests::Random random;
  Case<TypeParam> some(random, 9, 300);
  for (const int64_t i : {0, 4, 5, 8}) some.targets[i] = i == 4 ? -1 : -100;
  expect_matches(some);
  EXPECT_EQ(some.totals[1], 5);
  for (int64_t v = 0; v < 300; ++v) EXPECT_EQ(some.logits[4 * 300 + v], 0.0f);

  Case<TypeParam> none(random, 3, 300);
  std::ranges::fill(none.targets.values, -1);
  none.run();
  EXPECT_EQ(none.totals.values, (std::vector<double>{0, 0}));
  for (const TypeParam& value : none.logits.values) EXPECT_EQ(value, 0.0f);
}

TYPED_TEST(Loss, TotalsAccumulate) {
  tests::Random random;
  Case<TypeParam> given(random, 4, 11);
  Case<TypeParam> again = given;
  again.totals.values = {1000, 7};
  given.run();
  again.run();
  EXPECT_DOUBLE_EQ(again.totals[0], 1000 + given.totals[0]);
  EXPECT_EQ(again.totals[1], 7 + given.totals[1]);
}

TYPED_TEST(Loss, LargeLogitsDoNotOverflow) {
  tests::Random random;
  Case<TypeParam> given(random, 5, 999, 2000);
  for (TypeParam& logit : given.logits.values) logit = logit + 1e4f;
  expect_matches(given);
}

TYPED_TEST(Loss, MaskedEntriesCountForNothing) {
  tests::Random random;
  Case<TypeParam> given(random, 4, 100);
  std::ranges::fill(given.targets.values, 7);
  for (int64_t i = 0; i < 4; ++i) {
    for (int64_t v = 60; v < 100; ++v) given.logits[i * 100 + v] = -INFINITY;
  }
  expect_matches(given);
}

// The sum so far shrinks whenever a block of the row brings a larger maximum, as it does here each time; a row may also
// begin with blocks that are all masked.
TYPED_TEST(Loss, LargestLogitsMayComeLastOrBehindMaskedOnes) {
  tests::Random random;
  constexpr int64_t V = 50257;
  Case<TypeParam> rising(random, 2, V);
  for (int64_t i = 0; i < rising.logits.size(); ++i) {
    rising.logits[i] = rising.logits[i] + 20.0f * static_cast<float>(i % V) / V;
  }
  expect_matches(rising);
  Case<TypeParam> masked(random, 2, V);
  std::fill_n(masked.logits.values.begin(), 5000, -INFINITY);
  masked.targets[0] = V - 1;
  expect_matches(masked);
}

// In bf16 a probability above 511/512 is 1, yet p - 1 must not be 0: it is all that still teaches the model.
TYPED_TEST(Loss, GradientOfASurePredictionIsNotRoundedAway) {
  Tensor<TypeParam> logits({1, 2});
  logits[0] = 8.0f;
  Tensor<int32_t> targets({1});
  Tensor<float> partials = poisoned({1, 3});
  Stream stream(tests::device());
  loss_partials(stream, logits.view(), targets.view(), 0, partials.view());
  loss_gradient(stream, partials.view(), targets.view(), 0, logits.view());
  const double other = 1 / (1 + std::exp(8.0));
  EXPECT_NEAR(logits[0], -other, kRounding<TypeParam> * other + 1e-7);  // 1 - p in fp32 errs by 6e-8
  EXPECT_NEAR(logits[1], other, kRounding<TypeParam> * other + 1e-9);   // 3e-7 of fast_exp
}

TYPED_TEST(Loss, NotFiniteLogitsShow) {
  for (const float bad : {NAN, INFINITY}) {
    tests::Random random;
    for (const int64_t at : {int64_t{77}, int64_t{3000}}) {
      constexpr int64_t V = 5001;
      Case<TypeParam> given(random, 3, V);
      given.targets[1] = 5;
      given.logits[V + at] = bad;
      given.run();
      EXPECT_FALSE(std::isfinite(given.totals[0]));
      for (int64_t i = 0; i < 3; ++i) {
        bool finite = true;
        for (int64_t v = 0; v < V; ++v) finite = finite && std::isfinite(given.logits[i * V + v]);
        EXPECT_EQ(finite, i != 1) << bad << " at " << at << ", row " << i;
      }
    }
  }
}

/// What one rank of a group holds of a case: the vocabulary entries [begin, begin + V_local).
template <typename T>
struct RankCase {
  int64_t begin;
  Tensor<T> logits;
  Tensor<float> partials;
  Tensor<double> totals;
  int64_t scratch_bytes = 0;

  RankCase(const Case<T>& whole, int rank, int size)
      : begin(whole.logits.shape[1] * rank / size),
        logits({whole.logits.shape[0], whole.logits.shape[1] * (rank + 1) / size - begin}),
        partials(poisoned({whole.logits.shape[0], 3})),
        totals({2}, 0) {
    const int64_t V_local = logits.shape[1];
    for (int64_t i = 0; i < logits.size(); ++i) {
      logits[i] = whole.logits[i / V_local * whole.logits.shape[1] + begin + i % V_local];
    }
  }
  void run(Stream& stream, Communicator& group, const Case<T>& whole) {
    const ConstView targets = whole.targets.view();
    Arena scratch = tests::shared_arena("scratch", 1 << 20);
    loss_partials(stream, logits.view(), targets, begin, partials.view());
    loss_combine(stream, group, targets, partials.view(), totals.view(), scratch);
    loss_gradient(stream, partials.view(), targets, begin, logits.view());
    EXPECT_EQ(scratch.used_bytes(), 0);
    scratch_bytes = scratch.peak_bytes();
  }
};

template <typename T>
void expect_split_matches(const Case<T>& whole, int size) {
  const tests::NaiveLoss expected = tests::naive_loss(to_double(whole.logits), whole.targets.values);
  std::vector<RankCase<T>> ranks;
  for (int rank = 0; rank < size; ++rank) ranks.emplace_back(whole, rank, size);
  run_local_ranks(size, [&](Communicator& group) {
    Stream stream(tests::device());
    ranks[static_cast<size_t>(group.rank())].run(stream, group, whole);
  });
  Tensor<T> gradient = poisoned<T>(whole.logits.shape);
  for (const RankCase<T>& rank : ranks) {
    EXPECT_TRUE(same_bits(rank.partials, ranks[0].partials));
    EXPECT_TRUE(same_bits(rank.totals, ranks[0].totals));
    expect_totals(rank.totals, expected);
    const int64_t V_local = rank.logits.shape[1];
    for (int64_t i = 0; i < rank.logits.size(); ++i) {
      gradient[i / V_local * gradient.shape[1] + rank.begin + i % V_local] = rank.logits[i];
    }
  }
  expect_gradient(gradient, expected.dlogits, whole.targets);
}

TYPED_TEST(Loss, SplitVocabularyMatchesTheWhole) {
  tests::Random random;
  for (const int size : {2, 3}) {
    SCOPED_TRACE(testing::Message() << size << " ranks");
    Case<TypeParam> given(random, 7, 1003);
    given.targets.values = {0, 1002, 500, 501, 502, -1, 334};  // both ends, around the cuts, and none
    expect_split_matches(given, size);
  }
}

// The last rank of a padded vocabulary may hold nothing but padding.
TYPED_TEST(Loss, ARankWhoseEntriesAreAllMaskedAddsNothing) {
  tests::Random random;
  Case<TypeParam> given(random, 4, 90);
  std::ranges::fill(given.targets.values, 7);
  for (int64_t i = 0; i < given.logits.size(); ++i) {
    if (i % 90 >= 60) given.logits[i] = -INFINITY;
  }
  expect_split_matches(given, 3);
}

TYPED_TEST(Loss, DryGroupCostsWhatLocalRanksCost) {
  tests::Random random;
  const Case<TypeParam> whole(random, 5, 12);
  std::vector<RankCase<TypeParam>> ranks(3, RankCase<TypeParam>(whole, 0, 3));
  run_local_ranks(3, [&](Communicator& group) {
    RankCase<TypeParam>& rank = ranks[static_cast<size_t>(group.rank())];
    Stream cpu(tests::device());
    rank.run(cpu, group, whole);
    Stream dry(Device::dry);
    Arena scratch = Arena::dry("scratch");
    const std::unique_ptr<Communicator> dry_group = dry_communicator({.rank = group.rank(), .size = 3});
    loss_combine(dry, *dry_group, tests::dry_view({5}, DType::i32), tests::dry_view({5, 3}),
                 tests::dry_view({2}, DType::fp64), scratch);
    const int64_t N = 5;
    const int64_t P = 3;
    tests::expect_cost(cpu, dry, {.op = "loss_combine", .flops = (4 + 6 * P) * N, .bytes = 16 * N + 32 + 12 * P * N});
    EXPECT_EQ(scratch.peak_bytes(), rank.scratch_bytes);
    EXPECT_EQ(dry_group->totals(), group.totals());
  });
}

// A profile that left out the gathering would not add up to the step.
TEST(LossCombine, ItsTimeHoldsTheWaitForTheOtherRanks) {
  constexpr auto kLate = std::chrono::milliseconds(50);
  run_local_ranks(2, [&](Communicator& group) {
    Stream stream(tests::device());
    OpProfile profile;
    stream.profile_into(&profile);
    Arena scratch = tests::shared_arena("scratch", 1 << 10);
    const Tensor<int32_t> targets({5});
    Tensor<float> partials({5, 3});
    Tensor<double> totals({2});
    std::ranges::fill(partials.values, 1.0f);
    group.barrier().wait();
    if (group.rank() == 1) std::this_thread::sleep_for(kLate);
    loss_combine(stream, group, targets.view(), partials.view(), totals.view(), scratch);
    ASSERT_EQ(profile.rows().size(), 1u);
    if (group.rank() != 0) return;
    // Half of the time: this rank may leave the barrier late.
    EXPECT_GT(profile.rows()[0].seconds, 0.025);
  });
}

TYPED_TEST(Loss, ThreadsGiveTheSameBits) {
  tests::Random random;
  Case<TypeParam> given(random, 13, 1003);
  given.targets[3] = -1;
  Case alone = given;
  {
    const tests::Threads one(1);
    alone.run();
  }
  const tests::Threads two(2);
  given.run();
  EXPECT_TRUE(same_bits(given.logits, alone.logits));
  EXPECT_TRUE(same_bits(given.partials, alone.partials));
  EXPECT_TRUE(same_bits(given.totals, alone.totals));
}

TYPED_TEST(Loss, DryCostsWhatCpuCosts) {
  tests::Random random;
  constexpr int64_t s = sizeof(TypeParam);
  const int64_t N = 3;
  const int64_t V = 11;
  Case<TypeParam> given(random, N, V);
  Stream cpu(tests::device());
  Stream dry(Device::dry);
  Arena scratch = Arena::dry("scratch");
  const std::unique_ptr<Communicator> alone = solo_communicator();
  const auto run = [&](Stream& stream, View logits, View targets, View partials, View totals) {
    loss_partials(stream, logits, targets, 0, partials);
    loss_combine(stream, *alone, targets, partials, totals, scratch);
    loss_gradient(stream, partials, targets, 0, logits);
  };
  run(cpu, given.logits.view(), given.targets.view(), given.partials.view(), given.totals.view());
  run(dry, tests::dry_view({N, V}, dtype_of<TypeParam>), tests::dry_view({N}, DType::i32), tests::dry_view({N, 3}),
      tests::dry_view({2}, DType::fp64));
  tests::expect_cost(cpu, dry, {.op = "loss_partials", .flops = 4 * N * V, .bytes = s * N * V + 16 * N});
  tests::expect_cost(cpu, dry, {.op = "loss_combine", .flops = 4 * N, .bytes = 16 * N + 32});
  tests::expect_cost(cpu, dry, {.op = "loss_gradient", .flops = 3 * N * V, .bytes = 2 * s * N * V + 16 * N});
}

TEST(LossOperands, WrongOnesAreNamed) {
  tests::Random random;
  Case<float> given(random, 3, 11);
  Stream stream(tests::device());
  Arena scratch = Arena::dry("scratch");
  const std::unique_ptr<Communicator> alone = solo_communicator();
  const View logits = given.logits.view();
  const View targets = given.targets.view();
  const View partials = given.partials.view();
  EXPECT_EQ(tests::error_message([&] { loss_partials(stream, logits, targets, 0, partials.reshaped({9})); }),
            "loss_partials: partials is (9) fp32, expected (3, 3) fp32");
  EXPECT_EQ(tests::error_message([&] { loss_combine(stream, *alone, targets, partials, partials, scratch); }),
            "loss_combine: totals is (3, 3) fp32, expected (2) fp64");
  EXPECT_EQ(tests::error_message([&] { loss_gradient(stream, partials, targets.rows(0, 2), 0, logits); }),
            "loss_gradient: targets is (2) i32, expected (3) i32");
  EXPECT_EQ(tests::error_message([&] { loss_gradient(stream, partials, targets, 0, logits.reshaped({33})); }),
            "loss_gradient: logits is (33) fp32, expected 2 axes");
  // Sums are fp32 for either storage of the logits.
  const View narrow_logits = tests::dry_view({3, 11}, DType::bf16);
  const View narrow_partials = tests::dry_view({3, 3}, DType::bf16);
  EXPECT_EQ(tests::error_message([&] { loss_partials(stream, narrow_logits, targets, 0, narrow_partials); }),
            "loss_partials: partials is (3, 3) bf16, expected (3, 3) fp32");
  EXPECT_EQ(tests::error_message([&] { loss_gradient(stream, narrow_partials, targets, 0, narrow_logits); }),
            "loss_gradient: partials is (3, 3) bf16, expected (3, 3) fp32");
  EXPECT_EQ(tests::error_message([&] {
              loss_partials(stream, tests::dry_view({3, 11}, DType::i32), targets, 0, partials);
            }),
            "loss_partials: logits is (3, 11) i32, expected fp32 or bf16");
}

TYPED_TEST(Loss, PaddingCountsForNothing) {
  using T = TypeParam;
  tests::Random random;
  Stream stream(tests::device());
  constexpr int64_t kV = 37;
  for (const int64_t columns : {kV, kV + 1, int64_t{64}, int64_t{200}}) {
    constexpr int64_t N = 9;
    Tensor<T> wide = random.normals<T>({N, columns}, 3);
    Tensor<T> narrow({N, kV});
    for (int64_t i = 0; i < N; ++i) {
      for (int64_t v = 0; v < kV; ++v) narrow[i * kV + v] = wide[i * columns + v];
    }
    const Tensor<int32_t> targets = random.integers({N}, kV);
    Tensor<float> wide_partials = poisoned({N, 3});
    Tensor<float> narrow_partials = poisoned({N, 3});
    mask_padding(stream, kV, wide.view());
    loss_partials(stream, wide.view(), targets.view(), 0, wide_partials.view());
    loss_gradient(stream, wide_partials.view(), targets.view(), 0, wide.view());
    loss_partials(stream, narrow.view(), targets.view(), 0, narrow_partials.view());
    loss_gradient(stream, narrow_partials.view(), targets.view(), 0, narrow.view());
    EXPECT_LE(tests::relative_error(wide_partials, to_double(narrow_partials)), 1e-6)
        << columns;  // sums in other blocks
    for (int64_t i = 0; i < N; ++i) {
      for (int64_t v = 0; v < columns; ++v) {
        const float expected = v < kV ? float{narrow[i * kV + v]} : 0.0f;
        ASSERT_NEAR(float{wide[i * columns + v]}, expected, tests::kStorageTolerance<T>) << i << ", " << v;
      }
    }
  }
  Tensor<T> logits({2, 5});
  EXPECT_EQ(tests::error_message([&] { mask_padding(stream, 6, logits.view()); }),
            "mask_padding: V is 6, expected 0 to 5");
  mask_padding(stream, 0, logits.view());  // of a rank without entries
  stream.wait();
  for (const T& logit : logits.values) EXPECT_EQ(float{logit}, -std::numeric_limits<float>::infinity());
}

}  // namespace
}  // namespace trireme::runtime
