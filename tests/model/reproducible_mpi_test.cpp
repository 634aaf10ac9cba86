// Reproducible training over MPI: every layout of as many ranks as mpirun started has the bits of one rank.
#include "tests/model/layout_cases.h"
#include "tests/mpi_world.h"

namespace trireme::tests {
namespace {

constexpr int64_t kBatch = 16;

/// Of the tied model alone: both are trained on threads, and messages know no models.
void expect_bits_of_one_rank(const LayoutCase& layout) {
  model::ModelConfig config = layout_gpt2();
  config.layers = 4;
  SCOPED_TRACE(layout.name());
  const LayoutTraining training{
      .config = config, .layout = layout, .execution = {.lanes = 8}, .messages = kMpiMessages};
  const LayoutRun run = train_in_layout(mpi_world(), training);
  const LayoutRun& alone = train_alone(training);
  EXPECT_EQ(run.losses, alone.losses);
  EXPECT_EQ(run.norms, alone.norms);
  EXPECT_EQ(run.validation_loss, alone.validation_loss);
  EXPECT_TRUE(run.parameters == alone.parameters) << "parameters after the last step differ";
}

TEST(ReproducibleOverMpi, LayoutsHaveTheBitsOfOneRank) {
  for (const int dp : {1, 2, 4, 8}) {
    for (const int pp : {1, 2, 4}) {
      if (dp * pp != mpi_world().size()) continue;
      for (int stage = 0; stage <= (dp == 1 ? 0 : 3); ++stage) {
        expect_bits_of_one_rank(
            {.mesh = {.dp = dp, .pp = pp}, .zero_stage = stage, .microbatches = kBatch / dp, .B = 1});
      }
    }
  }
}

}  // namespace
}  // namespace trireme::tests
