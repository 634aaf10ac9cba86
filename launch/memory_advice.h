// Settings near those that were asked for under which a training fits into the memory of a rank: found by planning
// them, not by rules of thumb. It knows options and plans, not how much memory there is.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "launch/layout_plan.h"

namespace trireme::launch {

/// Options as they are written, and what a rank then needs: the one that needs most.
struct NearbySetting {
  std::string words;  ///< "--recompute full"
  TrainOptions options;
  int64_t needed_bytes = 0;
};

/// One or two settings that need no more than `limit_bytes`, with as few changes as will do: one option (a smaller
/// microbatch, more recomputation, a higher ZeRO stage, bf16), then two, then all of them, then more tensor and
/// pipeline parallelism of the same ranks. Where nothing fits: that which needs least, more than the limit though.
/// Empty: there is nothing to change. `asked` is the layout of training.options.
std::vector<NearbySetting> nearby_settings(const PlannedTraining& training, const Layout& asked, int64_t limit_bytes);

/// "with --microbatch-size 2 it needs 3.1 GB a rank, with --recompute full 2.8 GB", or what the least is.
std::string memory_advice(const PlannedTraining& training, const Layout& asked, int64_t limit_bytes);

}  // namespace trireme::launch
