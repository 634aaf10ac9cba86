#include "model/step_history.h"

#include <gtest/gtest.h>

#include <cmath>
#include <random>
#include <vector>

namespace trireme::tests {
namespace {

using model::StepHistory;

constexpr auto kInfinity = std::numeric_limits<float>::infinity();

StepHistory history_of(const std::vector<double>& losses, double grad_norm = 1) {
  StepHistory history;
  for (const double loss : losses) history.add({.loss = loss, .grad_norm = grad_norm});
  return history;
}

TEST(StepHistory, NothingIsAnOutlierBeforeThirtyTwoStepsAreKnownOrWhenOff) {
  std::vector<double> losses;
  for (int i = 0; i < 31; ++i) losses.push_back(2 + 0.01 * i);
  EXPECT_EQ(history_of(losses).limits(6), runtime::UpdateLimits());
  losses.push_back(2);
  EXPECT_LT(history_of(losses).limits(6).loss, kInfinity);
  EXPECT_LT(history_of(losses).limits(6).grad_norm, kInfinity);
  EXPECT_EQ(history_of(losses).limits(0), runtime::UpdateLimits());
}

TEST(StepHistory, LimitsAreMeanPlusSigmasOfTheSample) {
  StepHistory history;
  for (int i = 0; i < 40; ++i) history.add({.loss = i % 2 == 0 ? 2.0 : 4.0, .grad_norm = i % 2 == 0 ? 10.0 : 30.0});
  // Deviations of 1 and 10 from means of 3 and 20; n / (n - 1) of a sample. fp32 has 6e-8 of it, and one step upwards.
  const double deviation = std::sqrt(40.0 / 39.0);
  EXPECT_NEAR(history.limits(6).loss, 3 + 6 * deviation, 2e-7 * 9);
  EXPECT_NEAR(history.limits(2).grad_norm, 20 + 20 * deviation, 2e-7 * 40);
}

TEST(StepHistory, StepsBeyondTheWindowAreForgottenToTheBit) {
  std::mt19937_64 random(1);
  std::normal_distribution<double> normal(2.5, 0.1);
  std::vector<double> recent(StepHistory::kWindow);
  for (double& loss : recent) loss = normal(random);
  std::vector<double> all(1000, 1e12);  // sums that run over them would never lose them
  all.insert(all.end(), recent.begin(), recent.end());
  EXPECT_EQ(history_of(all).steps().size(), StepHistory::kWindow);
  EXPECT_EQ(history_of(all).limits(6), history_of(recent).limits(6));
}

TEST(StepHistory, ASmallDeviationFromALargeMeanIsNotLost) {
  // Sums of squares in fp64 would lose 1e-4 beside 1e6: its square is 1e-20 of theirs.
  std::vector<double> losses;
  for (int i = 0; i < 64; ++i) losses.push_back(1e6 + (i % 2 == 0 ? 1e-4 : -1e-4));
  StepHistory history;
  for (const double loss : losses) history.add({.loss = 1, .grad_norm = loss});
  // 1e4 deviations, so that fp32 (0.06 at 1e6) can hold them: 1 + 1/126, and two roundings.
  EXPECT_NEAR(history.limits(1e4).grad_norm, 1e6 + std::sqrt(64.0 / 63.0), 0.13);
}

TEST(StepHistory, WhatEqualsAFlatHistoryIsNoOutlier) {
  for (const double loss : {0.1, 2.3456789, 1.0 / 3, 1e-30}) {
    EXPECT_GE(static_cast<double>(history_of(std::vector<double>(50, loss), loss).limits(6).loss), loss);
    EXPECT_GE(static_cast<double>(history_of(std::vector<double>(50, loss), loss).limits(6).grad_norm), loss);
  }
}

}  // namespace
}  // namespace trireme::tests
