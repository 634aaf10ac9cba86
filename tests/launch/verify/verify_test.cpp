// `verify` lets right layouts pass, in fp32 and bf16.
#include <algorithm>

#include "launch/verify_report.h"
#include "tests/launch/verify/verify_cases.h"

namespace trireme::tests {
namespace {

launch::Verification expect_passes(const launch::VerifyOptions& options, int ranks) {
  const launch::Verification verification = verify_on_local_ranks(options, ranks);
  EXPECT_TRUE(verification.passed) << launch::verify_report(verification);
  EXPECT_EQ(verification.steps.size(), static_cast<size_t>(options.steps_to_verify));
  return verification;
}

class VerifyLayouts : public testing::TestWithParam<LayoutCase> {};

TEST_P(VerifyLayouts, PassInFp32) {
  for (const model::ModelConfig& config : {layout_gpt2(), layout_llama()}) {
    const ModelFile model(config);
    expect_passes(options_of(GetParam(), model), GetParam().mesh.world_size());
  }
}

TEST_P(VerifyLayouts, PassInBf16) {
  for (const model::ModelConfig& config : {layout_gpt2(), layout_llama()}) {
    const ModelFile model(config);
    launch::VerifyOptions options = options_of(GetParam(), model);
    options.train.precision = "bf16";
    expect_passes(options, GetParam().mesh.world_size());
  }
}

INSTANTIATE_TEST_SUITE_P(, VerifyLayouts, testing::ValuesIn(LAYOUT_GRID()),
                         [](const auto& test) { return test.param.name(); });

TEST(Verify, OneRankInOtherMicrobatchesPasses) {
  const ModelFile model(layout_gpt2());
  launch::VerifyOptions options = options_of({.microbatches = 3, .recompute = model::Recompute::full}, model);
  options.train.warmup_steps = 2;
  expect_passes(options, 1);
}

TEST(Verify, AReferenceMayHaveSeveralRanks) {
  const ModelFile model(layout_llama());
  launch::VerifyOptions options = options_of({.mesh = {.tp = 2, .dp = 2}, .zero_stage = 3, .microbatches = 2}, model);
  for (const char* reference : {"tp=2", "dp=2,zero=2", "tp=2,pp=2", "dp=4"}) {
    options.reference_layout = reference;
    const launch::Verification verification = expect_passes(options, 4);
    EXPECT_GT(verification.reference.layout.mesh.world_size(), 1) << reference;
  }
}

// In bf16, too, fp32's bound holds where both sides round the same numbers.
TEST(Verify, Bf16BesideTheSameTensorParallelismIsHeldToTheBoundOfFp32) {
  const ModelFile model(layout_gpt2());
  launch::VerifyOptions options = options_of({.mesh = {.tp = 2, .dp = 2}, .zero_stage = 1}, model);
  options.train.precision = "bf16";
  const auto largest_bound = [&] {
    double largest = 0;
    for (const launch::Finding& finding : expect_passes(options, 4).findings)
      largest = std::max(largest, finding.bound);
    return largest;
  };
  EXPECT_GT(largest_bound(), 1e-2);
  options.reference_layout = "tp=2";
  EXPECT_LT(largest_bound(), 1e-4);
}

TEST(Verify, LayersCutTheModel) {
  const ModelFile model(layout_gpt2());
  launch::VerifyOptions options = options_of({.mesh = {.dp = 2}, .zero_stage = 1}, model);
  options.layers = 3;
  EXPECT_EQ(expect_passes(options, 2).layout.config.layers, 3);
}

}  // namespace
}  // namespace trireme::tests
