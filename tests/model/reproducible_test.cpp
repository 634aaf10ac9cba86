// Reproducible training: the same bits in every layout of data and pipeline parallelism, ZeRO stage and schedule. The
// ranks are threads.
#include "tests/model/layout_cases.h"

namespace trireme::tests {
namespace {

using model::ModelConfig;
using parallel::ScheduleKind;

constexpr int64_t kBatch = 16;  ///< sequences of a step

/// Four layers: a model whose embeddings are tied, and one whose are not.
ModelConfig tied_model() {
  ModelConfig config = layout_gpt2();
  config.layers = 4;
  return config;
}
ModelConfig untied_model() {
  ModelConfig config = layout_llama();
  config.layers = 4;
  return config;
}

LayoutTraining reproducible(const ModelConfig& config, LayoutCase layout, int lanes = 8) {
  layout.B = 1;
  layout.microbatches = kBatch / layout.mesh.dp;
  return {.config = config, .layout = layout, .execution = {.lanes = lanes}};
}

void expect_same(const LayoutRun& run, const LayoutRun& expected) {
  EXPECT_EQ(run.losses, expected.losses);
  EXPECT_EQ(run.norms, expected.norms);
  EXPECT_EQ(run.validation_loss, expected.validation_loss);
  // Thousands of numbers: a failure is not to print them.
  EXPECT_TRUE(run.gradients == expected.gradients) << "gradients of the first step differ";
  EXPECT_TRUE(run.parameters == expected.parameters) << "parameters after the last step differ";
}

void expect_bits_of_one_rank(const LayoutTraining& training) {
  SCOPED_TRACE(training.config.family + " " + training.layout.name());
  expect_same(train_on_local_ranks(training), train_alone(training));
}

class ReproducibleLayouts : public testing::TestWithParam<LayoutCase> {};

TEST_P(ReproducibleLayouts, HaveTheBitsOfOneRank) {
  expect_bits_of_one_rank(reproducible(tied_model(), GetParam()));
}

class ReproducibleSchedules : public testing::TestWithParam<LayoutCase> {};

TEST_P(ReproducibleSchedules, HaveTheBitsOfOneRank) {
  for (const ModelConfig& config : {tied_model(), untied_model()}) {
    expect_bits_of_one_rank(reproducible(config, GetParam()));
  }
}

/// dp 1, 2, 4 x ZeRO 0 to 3 x pp 1, 2, 4; of one rank of dp there is nothing to share out.
std::vector<LayoutCase> grid() {
  std::vector<LayoutCase> grid;
  for (const int dp : {1, 2, 4}) {
    for (const int pp : {1, 2, 4}) {
      for (int stage = 0; stage <= (dp == 1 ? 0 : 3); ++stage) {
        grid.push_back({.mesh = {.dp = dp, .pp = pp}, .zero_stage = stage});
      }
    }
  }
  return grid;
}

std::vector<LayoutCase> other_schedules() {
  using enum ScheduleKind;
  return {{.mesh = {.pp = 2}, .schedule = zb_h1},
          {.mesh = {.pp = 4}, .schedule = zb_h1, .recompute = model::Recompute::full},
          {.mesh = {.dp = 2, .pp = 2}, .zero_stage = 1, .schedule = gpipe},
          {.mesh = {.dp = 2, .pp = 2}, .zero_stage = 2, .virtual_stages = 2},
          {.mesh = {.dp = 4, .pp = 2}, .zero_stage = 3, .schedule = zb_h1},
          {.mesh = {.dp = 8}, .zero_stage = 1},
          {.mesh = {.dp = 8}, .zero_stage = 3, .recompute = model::Recompute::selective}};
}

const auto kName = [](const auto& test) { return test.param.name(); };
INSTANTIATE_TEST_SUITE_P(, ReproducibleLayouts, testing::ValuesIn(grid()), kName);
INSTANTIATE_TEST_SUITE_P(, ReproducibleSchedules, testing::ValuesIn(other_schedules()), kName);

// Documents that differ in length, weights in bf16: what else a run may have.
TEST(Reproducible, StorageAndDocumentsChangeNothing) {
  for (const ModelConfig& config : {tied_model(), untied_model()}) {
    LayoutTraining training = reproducible(config, {.mesh = {.dp = 2, .pp = 2}, .zero_stage = 3});
    training.steps = 5;
    training.execution.storage = runtime::DType::bf16;
    training.has_documents = true;
    expect_bits_of_one_rank(training);
  }
}

TEST(Reproducible, AnyPowerOfTwoOfLanesWill) {
  for (const int lanes : {2, 4, 16}) {
    LayoutTraining training = reproducible(tied_model(), {.mesh = {.dp = 2}, .zero_stage = 1}, lanes);
    training.steps = 5;
    expect_bits_of_one_rank(training);
  }
}

// What the other tests would show if lanes did nothing.
TEST(Reproducible, WithoutLanesLayoutsHaveOtherBits) {
  const LayoutTraining training = reproducible(tied_model(), {.mesh = {.dp = 4}, .zero_stage = 1}, 0);
  EXPECT_FALSE(train_on_local_ranks(training).parameters == train_alone(training).parameters);
}

// Lanes are another order of the same sums; so is tensor parallelism, which has no order of its own to keep.
TEST(Reproducible, FollowsOtherTrainingUpToRounding) {
  LayoutTraining training = reproducible(tied_model(), {.mesh = {.tp = 2, .dp = 2}, .zero_stage = 1});
  const LayoutRun run = train_on_local_ranks(training);
  expect_follows_one_rank(training, run);
  training.execution.lanes = 0;
  expect_follows_one_rank(training, run);
}

TEST(Reproducible, RefusesMicrobatchesOfSeveralSequences) {
  LayoutTraining training = reproducible(tied_model(), {});
  training.layout.B = 2;
  EXPECT_THROW(train_in_layout(*runtime::solo_communicator(), training), runtime::Error);
}

}  // namespace
}  // namespace trireme::tests
