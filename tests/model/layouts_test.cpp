// Every layout follows one rank: the ranks are threads.
#include "tests/model/layout_cases.h"

namespace trireme::tests {
namespace {

using model::ModelConfig;

void expect_layout_follows(const LayoutTraining& training) {
  expect_follows_one_rank(training, train_on_local_ranks(training));
}

class Layouts : public testing::TestWithParam<LayoutCase> {};

TEST_P(Layouts, GptFollowsOneRank) {
  expect_layout_follows({.config = layout_gpt2(), .layout = GetParam()});
}

TEST_P(Layouts, LlamaFollowsOneRank) {
  expect_layout_follows({.config = layout_llama(), .layout = GetParam()});
}

// 13 entries in parts of 3: the last rank of tp has none.
TEST(Layout, ARankWithoutEntriesOfTheVocabularyFollowsOneRank) {
  ModelConfig config = layout_gpt2();
  config.vocabulary_size = 13;
  expect_layout_follows({.config = config, .layout = {.mesh = {.tp = 6}}});
}

// The same layers as one stage, whose weight gradients come later, too.
TEST(Layout, ZeroBubbleOnOneRankFollowsOneRank) {
  const LayoutCase layout{
      .schedule = parallel::ScheduleKind::zb_h1, .microbatches = 2, .recompute = model::Recompute::full};
  const LayoutTraining training{.config = layout_llama(), .layout = layout};
  expect_follows_one_rank(training, train_on_local_ranks(training));
}

INSTANTIATE_TEST_SUITE_P(, Layouts, testing::ValuesIn(LAYOUT_GRID()),
                         [](const auto& test) { return test.param.name(); });

}  // namespace
}  // namespace trireme::tests
