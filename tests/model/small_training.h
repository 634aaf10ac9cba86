// Training a small model for some steps, alone or as a rank of several, and what it means that two follow each other.
#pragma once

#include <gtest/gtest.h>

#include <vector>

#include "tests/model/small_model.h"

namespace trireme::tests {

inline constexpr int64_t kSequences = 12;
inline constexpr int64_t kTokens = 9;

/// The sequences [begin, begin + count) of a batch as one microbatch.
inline model::HostMicrobatch part(const SmallBatch& batch, int64_t begin, int64_t count) {
  return batch.part(begin, count);
}

/// Losses of `steps` steps on one fixed batch per step; this rank takes its share of the sequences in microbatches of
/// B.
inline std::vector<double> train(const model::ModelConfig& config, parallel::MeshGroups groups, int64_t B,
                                 int64_t steps, const model::Execution& execution = {}) {
  const int64_t rank = groups.dp->rank();
  const int dp = groups.dp->size();
  const int64_t share = kSequences / dp;
  const model::UpdateOptions options{.learning_rate = 1e-2, .dropout = 0.1, .seed = 5};
  SmallModel small(config,
                   model::plan_training(config, on_device(execution), {.dp = dp}, {.B = B, .T = kTokens}, options),
                   std::move(groups), model::Purpose::training, execution);
  std::vector<double> losses;
  for (int64_t step = 0; step < steps; ++step) {
    std::mt19937_64 random(static_cast<uint64_t>(step));
    const SmallBatch batch(random, kSequences, kTokens, config.vocabulary_size);
    std::vector<model::HostMicrobatch> microbatches;
    for (int64_t b = 0; b < share; b += B) microbatches.push_back(part(batch, rank * share + b, B));
    model::UpdateOptions update = options;
    update.update = step + 1;
    losses.push_back(model::train_step(*small.trainer, microbatches, update).loss);
  }
  return losses;
}

/// fp32 sums in another order: each step's loss within 1e-5 of the other, relative, over 50 steps (the bar of the
/// project).
inline void expect_follows(const std::vector<double>& losses, const std::vector<double>& expected) {
  ASSERT_EQ(losses.size(), expected.size());
  for (size_t i = 0; i < losses.size(); ++i) EXPECT_NEAR(losses[i], expected[i], 1e-5 * expected[i]) << "step " << i;
}

}  // namespace trireme::tests
