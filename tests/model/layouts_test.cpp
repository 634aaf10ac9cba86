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

// All ranks of a pipeline and of tp are given the documents; planned memory is used memory with them, too.
TEST(Layout, DocumentsAreKeptApartInEveryLayout) {
  using enum parallel::ScheduleKind;
  const std::vector<LayoutCase> layouts{
      {.mesh = {.dp = 2}, .zero_stage = 3, .microbatches = 2, .recompute = model::Recompute::full},
      {.mesh = {.tp = 2}, .microbatches = 2, .recompute = model::Recompute::selective},
      {.mesh = {.pp = 2}, .microbatches = 4},
      {.mesh = {.pp = 2}, .schedule = zb_h1, .microbatches = 4}};
  for (const LayoutCase& layout : layouts) {
    SCOPED_TRACE(layout.name());
    for (const ModelConfig& config : {layout_gpt2(), layout_llama()}) {
      expect_layout_follows({.config = config, .layout = layout, .steps = 3, .has_documents = true});
    }
  }
}

INSTANTIATE_TEST_SUITE_P(, Layouts, testing::ValuesIn(LAYOUT_GRID()),
                         [](const auto& test) { return test.param.name(); });

}  // namespace
}  // namespace trireme::tests
