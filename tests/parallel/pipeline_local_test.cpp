// Pipelines of threads: the common cases on 1 to 8 stages, and failures.
#include <atomic>
#include <stdexcept>

#include <gtest/gtest.h>

#include "parallel/pipeline.h"
#include "runtime/error.h"
#include "runtime/local_ranks.h"
#include "tests/parallel/fake_stage.h"
#include "tests/parallel/pipeline_worlds.h"

namespace trireme::parallel {

void on_each_pipeline(const std::function<void(runtime::Communicator&)>& body) {
  for (int stages = 1; stages <= 8; ++stages) runtime::run_local_ranks(stages, body, kTestMessages);
}

namespace {

using runtime::Error;
using runtime::ErrorKind;

TEST(Pipeline, AStageThatFailsEndsAll) {
  const ScheduleSpec spec{.stages = 4, .chunks = 2, .microbatches = 8};
  for (const int failing : {0, 1, 3}) {
    for (const int fails_at : {0, 5, 40}) {
      std::atomic<int> consequences = 0;
      const auto body = [&](runtime::Communicator& world) {
        try {
          MeshGroups groups = make_groups({.pp = 4}, world);
          const std::vector<Action> actions = make_schedule(spec, groups.at.pp);
          FakeStage stage(spec, {8, 8}, groups, {.fails_at = groups.at.pp == failing ? fails_at : -1});
          PipelineBuffers buffers = stage.make_buffers(buffer_counts(spec, groups.at.pp, actions));
          run_pipeline(spec, actions, stage, groups, buffers);
        } catch (const Error& error) {
          EXPECT_EQ(error.kind(), ErrorKind::peer);
          ++consequences;
          throw;
        }
      };
      EXPECT_THROW(runtime::run_local_ranks(4, body, kTestMessages), std::runtime_error);
      EXPECT_EQ(consequences, 3);
    }
  }
}

TEST(Pipeline, OfOneStageHasOneChunk) {
  const ScheduleSpec spec{.stages = 1, .chunks = 3, .microbatches = 2};
  try {
    buffer_counts(spec, 0, {});
    FAIL();
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_STREQ(error.what(), "--virtual-stages 3 takes --pipeline-parallel 2 or more, not 1: nothing would be cut");
  }
}

TEST(BufferCounts, AreWhatIsInUseAndOneAhead) {
  const auto counts = [](const ScheduleSpec& spec, int stage) {
    return buffer_counts(spec, stage, make_schedule(spec, stage));
  };
  const ScheduleSpec one_f_one_b{.stages = 4, .microbatches = 8};
  EXPECT_EQ(counts(one_f_one_b, 0), (BufferCounts{.inputs = 0, .gradients = 2}));
  EXPECT_EQ(counts(one_f_one_b, 1), (BufferCounts{.inputs = 4, .gradients = 3}));
  EXPECT_EQ(counts(one_f_one_b, 2), (BufferCounts{.inputs = 3, .gradients = 3}));
  EXPECT_EQ(counts(one_f_one_b, 3), (BufferCounts{.inputs = 2, .gradients = 2}));
  EXPECT_EQ(counts({.stages = 1, .microbatches = 8}, 0), (BufferCounts{.inputs = 0, .gradients = 1}));
  EXPECT_EQ(counts({.stages = 2, .microbatches = 1}, 1), (BufferCounts{.inputs = 1, .gradients = 1}));
  EXPECT_EQ(counts({.kind = ScheduleKind::gpipe, .stages = 2, .microbatches = 5}, 1),
            (BufferCounts{.inputs = 5, .gradients = 2}));
}

}  // namespace
}  // namespace trireme::parallel
