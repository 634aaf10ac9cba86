// What a training step states that it costs: the same dry and on the CPU, and the published count of model flops.
#include <gtest/gtest.h>

#include "tests/model/small_model.h"

namespace trireme::tests {
namespace {

using model::Execution;
using model::ModelConfig;
using model::Recompute;
using runtime::CostRecord;
using runtime::DType;

/// The costs of one dry training step.
CostRecord dry_step(const ModelConfig& config, const Execution& execution, int64_t B, int64_t T,
                    const model::UpdateOptions& options = {}) {
  runtime::Stream stream(runtime::Device::dry);
  runtime::Memory memory = runtime::Memory::dry();
  parallel::MeshGroups groups = parallel::dry_groups({});
  const auto trainer = model::make_trainer(config, model::Purpose::training, execution, stream, memory, groups);
  stream.clear_costs();
  const model::HostMicrobatch microbatch{.B = B, .T = T};
  model::train_step(*trainer, std::span(&microbatch, 1), options);
  return stream.costs();
}

TEST(StepCosts, DryStatesTheCostsOfTheCpu) {
  constexpr int64_t kB = 2;
  constexpr int64_t kT = 9;
  const model::UpdateOptions options{.dropout = 0.1};
  for (const ModelConfig& config : {small_gpt2(), small_llama(), small_llama_tied()}) {
    for (const DType storage : {DType::fp32, DType::bf16}) {
      for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
        const Execution execution{.storage = storage, .recompute = recompute};
        std::mt19937_64 random(1);
        const SmallBatch batch(random, kB, kT, config.vocabulary_size);
        const model::HostMicrobatch microbatch = batch.host();
        SmallModel small(config, execution, kB, kT, options);
        small.stream.clear_costs();
        model::train_step(*small.trainer, std::span(&microbatch, 1), options);
        EXPECT_EQ(small.stream.costs().by_op(), dry_step(config, execution, kB, kT, options).by_op())
            << config.family << " " << name(storage) << " recompute " << static_cast<int>(recompute);
      }
    }
  }
}

/// 6 N + 6 L H D T per token counts products and attention; norms, activations, loss and AdamW (17 N a step, here for
/// 8,192 tokens) come to less than 1% at these widths.
TEST(StepCosts, ModelFlopsAreThePublishedCount) {
  constexpr int64_t kB = 8;
  constexpr int64_t kT = 1024;
  // 6 x 123,653,376 + 6 x 12 x 768 x 1024; 6 x 1,235,814,400 + 6 x 16 x 2048 x 1024.
  EXPECT_EQ(flops_per_token(model::preset("gpt2-124m"), kT), 798'543'360.0);
  EXPECT_EQ(flops_per_token(model::preset("llama-1b"), kT), 7'616'212'992.0);
  for (const char* preset : {"gpt2-124m", "llama-1b"}) {
    const ModelConfig config = model::preset(preset);
    for (const DType storage : {DType::fp32, DType::bf16}) {
      const CostRecord::Total total = dry_step(config, {.storage = storage}, kB, kT).sum();
      const double per_token = static_cast<double>(total.flops - total.recomputed_flops) / (kB * kT);
      EXPECT_NEAR(per_token / flops_per_token(config, kT), 1, 0.01) << preset;
    }
  }
}

/// What recomputation adds is marked as such, op by op where an op runs again: flops less the recomputed ones stay.
TEST(StepCosts, RecomputationAddsRecomputedWorkAlone) {
  for (const char* preset : {"gpt2-124m", "llama-1b"}) {
    const ModelConfig config = model::preset(preset);
    std::vector<CostRecord::Total> totals;
    for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
      totals.push_back(dry_step(config, {.recompute = recompute}, 1, 1024, {.dropout = 0.1}).sum());
    }
    const int64_t own = totals[0].flops - totals[0].recomputed_flops;
    EXPECT_EQ(totals[1].flops - totals[1].recomputed_flops, own) << preset;
    EXPECT_EQ(totals[2].flops - totals[2].recomputed_flops, own) << preset;
    EXPECT_LT(totals[0].recomputed_flops, totals[1].recomputed_flops) << preset;
    EXPECT_LT(totals[1].recomputed_flops, totals[2].recomputed_flops) << preset;
    // Selective recomputation is norms and activation functions, nothing beside products; full is one more forward of
    // the blocks but for the last product, which nobody reads again: 8 of 12 C^2 in gpt2, 0.72 of a llama-1b block. A
    // forward is a third of all, and the head (0.3 and 0.2 of all) is not repeated: about a sixth.
    EXPECT_LT(totals[1].recomputed_flops - totals[0].recomputed_flops, own / 100) << preset;
    EXPECT_GT(totals[2].recomputed_flops - totals[0].recomputed_flops, own / 8) << preset;
    EXPECT_LT(totals[2].recomputed_flops - totals[0].recomputed_flops, own / 5) << preset;
  }
}

}  // namespace
}  // namespace trireme::tests
