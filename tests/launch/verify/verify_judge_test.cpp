#include "launch/verify_judge.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace trireme::launch {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
const VerifyBounds kBounds{
    .loss = 1e-6, .gradient = 1e-5, .floor = 1e-3, .exp_avg = 2e-5, .exp_avg_sq = 4e-5, .update = 1e-6};

/// Two units: an embedding, and a layer with a weight and a bias.
std::vector<NamedTensor> tensors() {
  return {{.name = "table", .shape = {10, 10}, .unit = 0},
          {.name = "weight", .shape = {10, 10}, .unit = 1},
          {.name = "bias", .shape = {10}, .unit = 1}};
}

/// Of a tensor of so many elements of about `value`, from which two ranks are off by `first` and `second` everywhere.
TensorComparison comparison(double elements, double value, double first, double second) {
  const auto extent = [elements](double each) { return Extent{.squares = elements * each * each, .largest = each}; };
  return {.size = extent(value), .ranks = {extent(first), extent(second)}};
}

TEST(Judge, NamesTheRankThatIsFarthestOff) {
  const std::vector<NamedTensor> all = tensors();
  Judge judge(all, kBounds);
  judge.gradients(3, {comparison(100, 2, 2e-7, 4e-7), comparison(100, 1, 1e-2, 0), comparison(10, 1, 0, 0)});
  EXPECT_FALSE(judge.passes());
  ASSERT_EQ(judge.findings().size(), 3u);
  const Finding& bias = judge.findings()[0];  // from the head to the embedding
  const Finding& weight = judge.findings()[1];
  const Finding& table = judge.findings()[2];
  EXPECT_EQ(bias.tensor, "bias");
  EXPECT_TRUE(bias.passes());
  EXPECT_EQ(weight.tensor, "weight");
  EXPECT_FALSE(weight.passes());
  EXPECT_EQ(weight.rank, 0);
  EXPECT_EQ(weight.step, 3);
  EXPECT_NEAR(weight.difference, 1e-2, 2e-5);  // the floor is a thousandth
  EXPECT_TRUE(table.passes());
  EXPECT_EQ(table.rank, 1);
  EXPECT_NEAR(table.difference, 2e-7, 1e-9);
}

// A bias whose gradient is zero but for rounding is held against its unit, not against itself.
TEST(Judge, WhatIsZeroButForRoundingIsHeldAgainstItsUnit) {
  const std::vector<NamedTensor> all = tensors();
  Judge judge(all, kBounds);
  judge.gradients(1, {comparison(100, 1, 0, 0), comparison(100, 1, 0, 0), comparison(10, 1e-9, 2e-9, 2e-9)});
  EXPECT_TRUE(judge.passes());
  Judge strict(all, kBounds);
  strict.gradients(1, {comparison(100, 1, 0, 0), comparison(100, 1, 0, 0), comparison(10, 1e-9, 2e-7, 2e-7)});
  EXPECT_FALSE(strict.passes());
}

TEST(Judge, NotANumberFails) {
  const std::vector<NamedTensor> all = tensors();
  Judge of_gradients(all, kBounds);
  of_gradients.gradients(1, {comparison(100, 1, 0, 0), comparison(100, 1, kNan, 1), comparison(10, 1, 0, 0)});
  EXPECT_FALSE(of_gradients.passes());
  EXPECT_EQ(of_gradients.findings()[1].rank, 0);
  Judge of_losses(all, kBounds);
  of_losses.reported(1, {.loss = 2, .grad_norm = 1}, {{.loss = 2, .grad_norm = 1}, {.loss = kNan, .grad_norm = 1}});
  EXPECT_FALSE(of_losses.findings()[0].passes());
  EXPECT_EQ(of_losses.findings()[0].rank, 1);
  EXPECT_TRUE(of_losses.findings()[1].passes());
}

TEST(Judge, CopiesAndInitialWeightsHaveNoTolerance) {
  const std::vector<NamedTensor> all = tensors();
  const TensorComparisons equal(3, comparison(10, 1, 0, 0));
  TensorComparisons off = equal;
  off[1].ranks[1] = {.squares = 1e-80, .largest = 1e-40};
  Judge judge(all, kBounds);
  judge.start({.weights = equal, .copies = equal});
  EXPECT_TRUE(judge.passes());
  judge.start({.weights = off, .copies = equal});
  EXPECT_FALSE(judge.passes());
  Judge after(all, kBounds);
  after.state(2, {.exp_avg = equal, .exp_avg_sq = equal, .update = off, .copies = equal});
  EXPECT_TRUE(after.passes());
  after.state(2, {.exp_avg = equal, .exp_avg_sq = equal, .update = equal, .copies = off});
  EXPECT_FALSE(after.passes());
}

TEST(Judge, AFlawOfOwnershipFails) {
  const std::vector<NamedTensor> all = tensors();
  Judge judge(all, kBounds);
  judge.ownership({std::nullopt, std::nullopt, "1 element is held by no rank"});
  EXPECT_FALSE(judge.passes());
  EXPECT_TRUE(judge.findings()[0].passes());
  EXPECT_EQ(judge.findings()[2].tensor, "bias");
}

TrainingSettings settings_of(int tp, runtime::DType storage) {
  TrainingSettings settings{.execution = {.storage = storage}, .layout = {.mesh = {.tp = tp}}, .sequence_length = 128};
  settings.options.global_batch_size = 8;
  settings.config.vocabulary_size = 257;
  return settings;
}

TEST(VerifyBounds, AreThoseOfBf16WhereTensorParallelismRoundsOtherwise) {
  const TrainingSettings alone = settings_of(1, runtime::DType::bf16);
  const double fp32 =
      verify_bounds(settings_of(2, runtime::DType::fp32), settings_of(1, runtime::DType::fp32)).gradient;
  EXPECT_DOUBLE_EQ(fp32, 0x1p-24 * std::sqrt(3072) * std::sqrt(16 * 12 + 8));
  EXPECT_EQ(verify_bounds(alone, alone).gradient, fp32);
  EXPECT_EQ(verify_bounds(settings_of(2, runtime::DType::bf16), settings_of(2, runtime::DType::bf16)).gradient, fp32);
  EXPECT_DOUBLE_EQ(verify_bounds(settings_of(2, runtime::DType::bf16), alone).gradient, 0x1p-8 * std::sqrt(200));
}

}  // namespace
}  // namespace trireme::launch
