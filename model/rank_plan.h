// What a rank of a layout will hold, send and compute in a step, by a dry step of the code that trains: there are no
// formulas here.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "model/train_step.h"
#include "parallel/action_record.h"

namespace trireme::model {

/// What is trained, and how the ranks share it.
struct StepLayout {
  ModelConfig config;
  Execution execution;
  parallel::Mesh mesh;
  StepShape shape;        ///< of each rank
  UpdateOptions options;  ///< dropout is an op of its own
  /// So many microbatches are run dry, 3 at least; 0: all. Few stand for all.
  int64_t microbatches_run = 0;
  runtime::MessageOptions messages{};  ///< those of the world
};

/// All that the groups of a rank have sent so far.
parallel::SentMessages sent_messages(const parallel::MeshGroups& groups);
parallel::SentMessages difference(const parallel::SentMessages& after, const parallel::SentMessages& before);
/// Bytes by axis.
std::map<std::string, int64_t> bytes_by_axis(const parallel::SentMessages& sent);

/// Where the persistent bytes of a rank go.
struct PersistentParts {
  int64_t parameters = 0;  ///< those that layers read: all of the rank, or the owned ranges at stage 3
  int64_t gradients = 0;   ///< all of the rank, or the owned ranges at stages 2 and 3; and sums of lanes
  int64_t optimizer = 0;   ///< Adam's moments, and masters of their own
  int64_t pipeline = 0;    ///< gradients of activations, and in a pipeline what comes from other stages
  int64_t rest = 0;        ///< what whole units pass through at stages 2 and 3, and a few numbers
};

struct RankPlan {
  parallel::MeshCoordinates at;
  runtime::MemoryPlan memory;  ///< as plan_training() has it
  PersistentParts persistent;
  int64_t staging_bytes = 0;    ///< of the groups of the mesh, outside of `memory`
  parallel::SentMessages sent;  ///< in a step
  int64_t flops = 0;            ///< of a step
  int64_t recomputed_flops = 0;
  parallel::StepRecord record;  ///< of a step
};

/// What the groups of a rank take for their messages, outside of all plans.
int64_t staging_bytes(const parallel::MeshGroups& groups);

/// Throws Error(usage) when the axes, the schedule and the model do not fit each other. The step is run to its end, one
/// action after another: some microseconds an op. With StepLayout::microbatches_run all is as of the whole step, but for
/// the messages of ZeRO 3 in a pipeline: how often a layer is still there when it is wanted depends on the schedule, and
/// few microbatches go through it one by one.
RankPlan plan_rank(const StepLayout& layout, int rank);

}  // namespace trireme::model
