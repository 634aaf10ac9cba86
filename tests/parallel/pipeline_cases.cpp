// Pipelines of fake stages: every value that passes is checked on its way, by all schedules; messages against dry ones.
#include <string>

#include <gtest/gtest.h>

#include "parallel/pipeline.h"
#include "tests/parallel/fake_stage.h"
#include "tests/parallel/mesh_traffic.h"
#include "tests/parallel/pipeline_worlds.h"

namespace trireme::parallel {
namespace {

std::vector<ScheduleSpec> all_schedules(int stages) {
  std::vector<ScheduleSpec> specs;
  for (const ScheduleKind kind : {ScheduleKind::gpipe, ScheduleKind::one_f_one_b, ScheduleKind::zb_h1}) {
    const int most_chunks = kind == ScheduleKind::zb_h1 || stages == 1 ? 1 : 4;
    for (int chunks = 1; chunks <= most_chunks; ++chunks) {
      if (kind == ScheduleKind::gpipe && chunks % 2 == 0) continue;
      for (const int microbatches : {1, 2 * stages, 3 * stages + 1}) {
        if (stages > 4 && microbatches > 2 * stages) continue;
        const bool fits = kind != ScheduleKind::one_f_one_b || chunks == 1 || microbatches % stages == 0;
        if (fits) specs.push_back({.kind = kind, .stages = stages, .chunks = chunks, .microbatches = microbatches});
      }
    }
  }
  return specs;
}

std::string described(const ScheduleSpec& spec) {
  return std::string(name(spec.kind)) + ", " + std::to_string(spec.stages) + " stages, " + std::to_string(spec.chunks) +
         " chunks, " + std::to_string(spec.microbatches) + " microbatches";
}

/// Two steps and an evaluation after each.
void run_steps(const ScheduleSpec& spec, MeshGroups& groups, const FakeStageOptions& options) {
  const std::vector<Action> actions = make_schedule(spec, groups.at.pp);
  std::vector<int> slots;
  for (int chunk = 0; chunk < spec.chunks; ++chunk) slots.push_back(peak_in_flight(actions, chunk));
  FakeStage stage(spec, slots, groups, options);
  PipelineBuffers buffers = stage.make_buffers(buffer_counts(spec, groups.at.pp, actions));
  for (int step = 1; step <= 2; ++step) {
    run_pipeline(spec, actions, stage, groups, buffers);
    EXPECT_TRUE(stage.empty());
    run_pipeline_forward(spec.chunks, spec.microbatches - 1, stage, groups, buffers);
    EXPECT_TRUE(stage.empty());
    EXPECT_EQ(stage.released(), step * spec.chunks * (spec.microbatches + 1));
  }
}

TEST(Pipeline, EveryScheduleComputesWhatOneRankDoes) {
  on_each_pipeline([](runtime::Communicator& world) {
    const Mesh mesh{.pp = world.size()};
    MeshGroups groups = make_groups(mesh, world);
    MeshGroups planned = dry_groups(mesh, world.rank(), kTestMessages);
    for (const ScheduleSpec& spec : all_schedules(mesh.pp)) {
      SCOPED_TRACE(described(spec));
      const bool with_delays = spec.microbatches == 2 * spec.stages;
      run_steps(spec, groups, {.most_microseconds = with_delays ? 100 : 0});
      run_steps(spec, planned, {.dry = true});
      expect_same_traffic(planned, groups);
    }
  });
}

TEST(Pipeline, EvaluatesWithoutTraining) {
  on_each_pipeline([](runtime::Communicator& world) {
    const Mesh mesh{.pp = world.size()};
    MeshGroups groups = make_groups(mesh, world);
    for (int chunks = 1; chunks <= (mesh.pp == 1 ? 1 : 3); ++chunks) {
      const ScheduleSpec spec{.stages = mesh.pp, .chunks = chunks, .microbatches = 5};
      FakeStage stage(spec, std::vector<int>(static_cast<size_t>(chunks), 1), groups, {.most_microseconds = 100});
      const BufferCounts counts = buffer_counts(spec, groups.at.pp, {});
      EXPECT_EQ(counts.gradients, 0);
      PipelineBuffers buffers = stage.make_buffers(counts);
      for (const int microbatch : {0, 4, 2}) run_pipeline_forward(chunks, microbatch, stage, groups, buffers);
      EXPECT_EQ(stage.released(), 3 * chunks);
    }
  });
}

}  // namespace
}  // namespace trireme::parallel
