#include "launch/layout.h"

#include <gtest/gtest.h>

#include "launch/layout_checks.h"
#include "runtime/error.h"

namespace trireme::launch {
namespace {

/// Six layers of 12 heads, 4 K/V heads.
model::ModelConfig small_model() {
  model::ModelConfig model;
  model.layers = 6;
  model.heads = 12;
  model.kv_heads = 4;
  model.width = 48;
  model.feed_forward_width = 192;
  return model;
}

TrainOptions options_of(int64_t tp, int64_t pp, int64_t global_batch_size = 48) {
  TrainOptions options;
  options.tensor_parallel = tp;
  options.pipeline_parallel = pp;
  options.global_batch_size = global_batch_size;
  return options;
}

std::string error_of(const TrainOptions& options, int ranks, const model::ModelConfig& model = small_model()) {
  try {
    static_cast<void>(resolve_layout(options, model, 32, ranks));
  } catch (const runtime::Error& error) {
    EXPECT_EQ(error.kind(), runtime::ErrorKind::usage);
    return error.what();
  }
  return "no error";
}

TEST(Layout, DataParallelismTakesTheRanksThatAreLeft) {
  const Layout layout = resolve_layout(options_of(2, 3), small_model(), 32, 24);
  EXPECT_EQ(layout.mesh, (parallel::Mesh{.tp = 2, .dp = 4, .pp = 3}));
  EXPECT_EQ(layout.microbatch_size * layout.microbatches, 48 / 4);
}

TEST(Layout, ZeroStageIsOneWithDataParallelismUnlessGiven) {
  TrainOptions options = options_of(1, 1);
  EXPECT_EQ(resolve_layout(options, small_model(), 32, 1).zero_stage, 0);
  EXPECT_EQ(resolve_layout(options, small_model(), 32, 2).zero_stage, 1);
  options.zero_stage = 3;
  EXPECT_EQ(resolve_layout(options, small_model(), 32, 2).zero_stage, 3);
  EXPECT_EQ(resolve_layout(options, small_model(), 32, 1).zero_stage, 0) << "nothing to share out";
  options.zero_stage = 0;
  EXPECT_EQ(resolve_layout(options, small_model(), 32, 2).zero_stage, 0);
}

TEST(Layout, MicrobatchesFillThePipeline) {
  const auto size = [](int64_t pp, int64_t batch, int64_t virtual_stages = 1) {
    TrainOptions options = options_of(1, pp, batch);
    options.virtual_stages = virtual_stages;
    return resolve_layout(options, small_model(), 32, static_cast<int>(pp)).microbatch_size;
  };
  EXPECT_EQ(size(1, 48), 48);
  EXPECT_EQ(size(2, 48), 6) << "8 microbatches";
  EXPECT_EQ(size(3, 48), 4) << "12 microbatches";
  EXPECT_EQ(size(2, 22), 2) << "11 microbatches: the next larger divisor leaves two";
  EXPECT_EQ(size(3, 6), 1) << "never 12, so as many as there can be";
  EXPECT_EQ(size(2, 36, 2), 3) << "12 microbatches; 9 of 4 sequences would not go in groups of 2";
}

TEST(Layout, LanesTakeOneSequenceAtATime) {
  for (const int64_t microbatch_size : {0, 1, 6}) {
    for (const int64_t pp : {1, 2}) {
      TrainOptions options = options_of(1, pp);
      options.reproducible = 16;
      options.microbatch_size = microbatch_size;
      const Layout layout = resolve_layout(options, small_model(), 32, 4);
      EXPECT_EQ(layout.lanes, 16);
      EXPECT_EQ(layout.microbatch_size, 1);
      EXPECT_EQ(layout.microbatches, 48 / layout.mesh.dp);
    }
  }
}

TEST(Layout, LanesAreATreeOfTheRanksAndThePartsOfABatch) {
  const auto error = [](int64_t lanes, int64_t batch, int ranks) {
    TrainOptions options = options_of(1, 1, batch);
    options.reproducible = lanes;
    return error_of(options, ranks);
  };
  EXPECT_EQ(error(16, 48, 2), "no error");
  EXPECT_EQ(error(8, 8, 8), "no error");
  EXPECT_EQ(error(1, 7, 1), "no error");
  EXPECT_EQ(error(12, 48, 2), "--reproducible=12 is no power of two; the nearest that fits is --reproducible=8");
  EXPECT_EQ(error(4, 48, 8), "--reproducible=4 does not divide by 8 ranks; the nearest that fits is --reproducible=8");
  EXPECT_EQ(error(8, 20, 2),
            "--reproducible=8 does not divide --global-batch-size 20; the nearest choices are --reproducible=4 and "
            "--global-batch-size 24");
  EXPECT_EQ(error(8, 48, 6),
            "--reproducible=8 adds 8 lanes up as a tree, of which each of 6 ranks has a branch: the nearest number of "
            "ranks that does is 4");
}

TEST(Layout, TensorParallelMustDivideTheModel) {
  EXPECT_EQ(error_of(options_of(3, 1), 3),
            "--tensor-parallel 3 does not divide the model's 12 heads and 4 K/V heads; the nearest that fits is 1");
  EXPECT_EQ(error_of(options_of(3, 1), 1),
            "--tensor-parallel 3 does not divide the model's 12 heads and 4 K/V heads; the nearest that fits is 2");
  EXPECT_EQ(error_of(options_of(5, 1), 20),
            "--tensor-parallel 5 does not divide the model's 12 heads and 4 K/V heads; the nearest that fits is 4");
  model::ModelConfig model = small_model();
  model.feed_forward_width = 190;
  EXPECT_EQ(error_of(options_of(4, 1), 4, model),
            "--tensor-parallel 4 does not divide the model's feed-forward width 190; the nearest that fits is 2");
  model = small_model();
  model.kv_heads = 12;
  EXPECT_EQ(error_of(options_of(6, 1), 12, model),
            "--tensor-parallel 6 does not divide the sequence length 32; the nearest that fits is 4");
}

TEST(Layout, EveryChunkNeedsALayer) {
  EXPECT_EQ(error_of(options_of(1, 8), 8),
            "--pipeline-parallel 8 is more than the model's 6 layers; the nearest that fits is --pipeline-parallel 4");
  TrainOptions options = options_of(1, 3);
  options.virtual_stages = 3;
  EXPECT_EQ(
      error_of(options, 3),
      "--pipeline-parallel 3 x --virtual-stages 3 = 9 is more than the model's 6 layers; the nearest that fits is "
      "--virtual-stages 2");
  options.virtual_stages = 2;
  EXPECT_EQ(error_of(options, 3), "no error");
}

TEST(Layout, AxesMustDivideTheRanks) {
  EXPECT_EQ(error_of(options_of(2, 1), 1),
            "--tensor-parallel 2 needs 2 ranks or a multiple of that, got 1: start 2, or use --tensor-parallel 1");
  EXPECT_EQ(error_of(options_of(2, 2), 6),
            "--tensor-parallel 2 x --pipeline-parallel 2 needs 4 ranks or a multiple of that, got 6: start 4 or 8, or "
            "use --tensor-parallel 1, or use --pipeline-parallel 1");
  EXPECT_EQ(error_of(options_of(1, 4), 6),
            "--pipeline-parallel 4 needs 4 ranks or a multiple of that, got 6: start 4 or 8, or use "
            "--pipeline-parallel 3");
}

TEST(Layout, BatchMustDivideByTheDataParallelRanks) {
  EXPECT_EQ(error_of(options_of(1, 1, 8), 3),
            "--global-batch-size 8 does not divide by 3 ranks; the nearest that does is 9");
  EXPECT_EQ(error_of(options_of(2, 1, 10), 6),
            "--global-batch-size 10 does not divide by 3 data-parallel ranks; the nearest that does is 9");
  TrainOptions options = options_of(1, 1, 24);
  options.microbatch_size = 8;
  EXPECT_EQ(error_of(options, 2),
            "--microbatch-size 8 does not divide the 12 sequences of a rank (--global-batch-size 24, 2 ranks); the "
            "nearest that does is 6");
}

TEST(Layout, InterleavedMicrobatchesGoInGroupsOfTheStages) {
  TrainOptions options = options_of(1, 3, 16);
  options.virtual_stages = 2;
  options.microbatch_size = 4;
  EXPECT_EQ(error_of(options, 3),
            "--virtual-stages 2 takes microbatches in groups of --pipeline-parallel 3, got 4 (--global-batch-size 16 / "
            "(1 data-parallel rank x --microbatch-size 4)); the nearest choice is --global-batch-size 12 with "
            "--microbatch-size 4");
  options = options_of(1, 2, 6);
  options.virtual_stages = 2;
  options.microbatch_size = 6;
  EXPECT_EQ(error_of(options, 2),
            "--virtual-stages 2 takes microbatches in groups of --pipeline-parallel 2, got 1 (--global-batch-size 6 / "
            "(1 data-parallel rank x --microbatch-size 6)); the nearest choice is --microbatch-size 3");
  options.pipeline_schedule = "gpipe";
  EXPECT_EQ(error_of(options, 2), "no error");
}

TEST(Layout, IsToldInWordsAndOlderOnesAsTheyWere) {
  TrainOptions options = options_of(2, 3);
  EXPECT_EQ(layout_text(layout_json(resolve_layout(options, small_model(), 32, 6))),
            "tp 2 x dp 1 x pp 3, ZeRO 0, 1f1b");
  options.virtual_stages = 2;
  EXPECT_EQ(layout_text(layout_json(resolve_layout(options, small_model(), 32, 6))),
            "tp 2 x dp 1 x pp 3, ZeRO 0, 1f1b of 2 virtual stages");
  EXPECT_EQ(layout_text(layout_json(resolve_layout(options_of(1, 1), small_model(), 32, 4))),
            "tp 1 x dp 4 x pp 1, ZeRO 1");
  EXPECT_EQ(layout_text({{"tp", 1}, {"dp", 2}, {"pp", 1}, {"zero_stage", 0}}), "tp 1 x dp 2 x pp 1, ZeRO 0");
  EXPECT_EQ(layout_text({}), "tp 1 x dp 1 x pp 1, ZeRO 0");
}

TEST(NearestThat, PrefersTheSmallerOfTwo) {
  const auto even = [](int64_t number) { return number % 2 == 0; };
  EXPECT_EQ(nearest_that(5, 1, 10, even), 4);
  EXPECT_EQ(nearest_that(6, 1, 10, even), 6);
  EXPECT_EQ(nearest_that(1000, 1, 10, even), 10);
  EXPECT_EQ(nearest_that(5, 1, 10, [](int64_t) { return false; }), 0);
}

}  // namespace
}  // namespace trireme::launch
