// In bf16 every layout follows one rank within the noise of bf16.
#include <cmath>

#include "tests/model/layout_cases.h"

namespace trireme::tests {
namespace {

/// Of two vectors, in parts of the length of the second.
double distance(const std::vector<double>& values, const std::vector<double>& expected) {
  double difference = 0;
  double length = 0;
  for (size_t i = 0; i < values.size(); ++i) {
    difference += std::pow(values[i] - expected[i], 2);
    length += std::pow(expected[i], 2);
  }
  return std::sqrt(difference / length);
}

double largest_difference(const std::vector<double>& values, const std::vector<double>& expected) {
  double largest = 0;
  for (size_t i = 0; i < values.size(); ++i) largest = std::max(largest, std::abs(values[i] - expected[i]));
  return largest;
}

/// The noise of bf16 is how far one rank in bf16 is from one rank in fp32. A layout has the same noise, so that the two
/// are at most two of them apart (0.97 were seen for gradients, 1.4 for losses). Without tp a layout rounds what one
/// rank rounds: only fp32 sums of gradients have another order, which shows in the weights' last bits later on. With tp
/// the parts of a sum over channels are rounded, too.
void expect_bf16_follows(LayoutTraining training) {
  training.execution.storage = runtime::DType::bf16;
  const LayoutRun run = train_on_local_ranks(training);
  const LayoutRun alone = train_alone(training);
  training.execution.storage = runtime::DType::fp32;
  const LayoutRun in_fp32 = train_alone(training);
  EXPECT_LE(distance(run.gradients, alone.gradients), 2 * distance(alone.gradients, in_fp32.gradients));
  EXPECT_LE(largest_difference(run.losses, alone.losses), 2 * largest_difference(alone.losses, in_fp32.losses));
  if (training.layout.mesh.tp == 1) {
    EXPECT_LE(distance(run.gradients, alone.gradients), kGradientBound);
    EXPECT_NEAR(run.losses.front(), alone.losses.front(), 1e-12 * alone.losses.front());
  }
}

class LayoutsInBf16 : public testing::TestWithParam<LayoutCase> {};

TEST_P(LayoutsInBf16, GptFollowsOneRank) {
  expect_bf16_follows({.config = layout_gpt2(), .layout = GetParam()});
}

TEST_P(LayoutsInBf16, LlamaFollowsOneRank) {
  expect_bf16_follows({.config = layout_llama(), .layout = GetParam()});
}

INSTANTIATE_TEST_SUITE_P(, LayoutsInBf16, testing::ValuesIn(LAYOUT_GRID()),
                         [](const auto& test) { return test.param.name(); });

}  // namespace
}  // namespace trireme::tests
