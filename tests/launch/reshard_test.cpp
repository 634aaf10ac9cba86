// All ordered pairs of ten layouts: what one saved, the other holds bit for bit, and trains on as if nothing had been.
#include <gtest/gtest.h>

#include <array>

#include "checkpoint/attempt.h"
#include "checkpoint/load.h"
#include "checkpoint/save.h"
#include "launch/checkpoint_slices.h"
#include "runtime/local_ranks.h"
#include "tests/model/layout_cases.h"
#include "tests/temporary_directory.h"

namespace trireme::launch {
namespace {

using tests::LayoutCase;
using tests::LayoutRank;
using tests::LayoutTraining;

/// All with the same global batch of twelve sequences.
const std::array<LayoutCase, 10> kLayouts{{{.microbatches = 6},
                                           {.mesh = {.dp = 2}, .zero_stage = 1, .microbatches = 3},
                                           {.mesh = {.dp = 3}, .zero_stage = 3, .microbatches = 2},
                                           {.mesh = {.dp = 6}, .zero_stage = 2, .microbatches = 1},
                                           {.mesh = {.tp = 2}, .microbatches = 6},
                                           {.mesh = {.pp = 2}, .microbatches = 6},
                                           {.mesh = {.pp = 2}, .virtual_stages = 2, .microbatches = 6},
                                           {.mesh = {.tp = 2, .dp = 3}, .zero_stage = 2, .microbatches = 2},
                                           {.mesh = {.tp = 2, .pp = 3}, .microbatches = 6},
                                           {.mesh = {.tp = 2, .dp = 2, .pp = 2},
                                            .zero_stage = 3,
                                            .schedule = parallel::ScheduleKind::zb_h1,
                                            .microbatches = 3}}};

constexpr int64_t kSteps = 3;  ///< before and after the save

/// What a checkpoint holds, in the order of the model's definition.
struct State {
  std::vector<double> parameters;
  std::vector<double> exp_avg;
  std::vector<double> exp_avg_sq;
  bool operator==(const State&) const = default;
};

State state_of(LayoutRank& rank) {
  return {.parameters = rank.all(&parallel::UnitMemory::masters),
          .exp_avg = rank.all(&parallel::UnitMemory::exp_avg),
          .exp_avg_sq = rank.all(&parallel::UnitMemory::exp_avg_sq)};
}

RankSlices slices_of(LayoutRank& rank) {
  return rank_slices(rank.small().trainer->units, Contents::training, rank.small().groups.at);
}

LayoutTraining training_in(const LayoutCase& layout) {
  return {.config = tests::layout_gpt2(), .layout = layout};
}

/// Trains, saves and returns what was saved; `losses` are those of going on.
State train_and_save(const LayoutCase& layout, const std::string& checkpoints, std::vector<double>& losses) {
  State state;
  runtime::run_local_ranks(layout.mesh.world_size(), [&](runtime::Communicator& world) {
    LayoutRank rank(world, training_in(layout));
    for (int64_t step = 0; step < kSteps; ++step) rank.step(step);
    const State own = state_of(rank);
    const RankSlices held = slices_of(rank);
    checkpoint::SaveRequest request{
        .checkpoints_directory = checkpoints, .step = kSteps, .run_id = "test", .attempt = 1};
    for (const size_t i : written_slices(held, layout.mesh, rank.small().groups.at, layout.zero_stage)) {
      request.slices.push_back(held.slices[i]);
    }
    checkpoint::save(runtime::real_files(), world, request);
    std::vector<double> own_losses;
    for (int64_t step = kSteps; step < 2 * kSteps; ++step) own_losses.push_back(rank.step(step).loss);
    if (world.rank() != 0) return;
    state = own;
    losses = own_losses;
  });
  return state;
}

void expect_goes_on(const LayoutCase& layout, const std::string& step_directory, const State& saved,
                    const std::vector<double>& unbroken) {
  const checkpoint::Manifest manifest = checkpoint::read_manifest(runtime::real_files(), step_directory);
  runtime::run_local_ranks(layout.mesh.world_size(), [&](runtime::Communicator& world) {
    LayoutRank rank(world, training_in(layout));
    checkpoint::load(runtime::real_files(), step_directory, manifest, slices_of(rank).slices);
    rank.small().trainer->shards.parameters_changed();
    EXPECT_TRUE(state_of(rank) == saved);
    for (int64_t step = kSteps; step < 2 * kSteps; ++step) {
      const double expected = unbroken[static_cast<size_t>(step - kSteps)];
      EXPECT_NEAR(rank.step(step).loss, expected, 1e-5 * expected) << "step " << step;
    }
  });
}

TEST(Reshard, EveryLayoutGoesOnFromWhatEveryOtherSaved) {
  const tests::TemporaryDirectory directory;
  for (const LayoutCase& from : kLayouts) {
    const std::string checkpoints = directory / from.name();
    std::vector<double> unbroken;
    ASSERT_EQ(checkpoint::claim_attempt(runtime::real_files(), checkpoints, "a test"), 1);
    const State saved = train_and_save(from, checkpoints, unbroken);
    for (const LayoutCase& to : kLayouts) {
      SCOPED_TRACE(from.name() + " into " + to.name());
      expect_goes_on(to, checkpoint::step_directory(checkpoints, kSteps), saved, unbroken);
    }
  }
}

}  // namespace
}  // namespace trireme::launch
