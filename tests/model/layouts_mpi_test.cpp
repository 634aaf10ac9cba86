// Every layout of as many ranks as mpirun started follows one rank.
#include "tests/model/layout_cases.h"
#include "tests/mpi_world.h"

namespace trireme::tests {
namespace {

void expect_layouts_follow(const model::ModelConfig& config) {
  for (const LayoutCase& layout : LAYOUT_GRID()) {
    if (layout.mesh.world_size() != mpi_world().size()) continue;
    SCOPED_TRACE(layout.name());
    const LayoutTraining training{.config = config, .layout = layout, .messages = kMpiMessages};
    const LayoutRun run = train_in_layout(mpi_world(), training);
    expect_follows_one_rank(training, run);
  }
}

TEST(LayoutsOverMpi, GptFollowsOneRank) {
  expect_layouts_follow(layout_gpt2());
}

TEST(LayoutsOverMpi, LlamaFollowsOneRank) {
  expect_layouts_follow(layout_llama());
}

}  // namespace
}  // namespace trireme::tests
