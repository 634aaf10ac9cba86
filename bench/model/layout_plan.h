// What a rank of a layout will hold and send, by a dry step of the code that trains.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "model/train_step.h"

namespace trireme::model {

/// What is trained, and how the ranks share it.
struct Layout {
  ModelConfig config;
  Execution execution;
  parallel::Mesh mesh;
  StepShape shape;  ///< of each rank
};

/// Bytes that a rank has sent, by axis: tp, dp, pp (sums, activations and gradients), tied (the two copies of a table).
using SentBytes = std::map<std::string, int64_t>;
SentBytes sent_bytes(const parallel::MeshGroups& groups);
SentBytes difference(const SentBytes& after, const SentBytes& before);

/// Where the persistent bytes of a rank go.
struct PersistentParts {
  int64_t parameters = 0;  ///< those that layers read: all of the rank, or the owned ranges at stage 3
  int64_t gradients = 0;   ///< all of the rank, or the owned ranges at stages 2 and 3
  int64_t optimizer = 0;   ///< Adam's moments, and masters of their own
  int64_t pipeline = 0;    ///< activations and gradients that come from other stages
  int64_t rest = 0;        ///< what whole units pass through at stages 2 and 3, and a few numbers
};

struct RankPlan {
  parallel::MeshCoordinates at;
  runtime::MemoryPlan memory;  ///< of training alone, without evaluation
  PersistentParts persistent;
  int64_t staging_bytes = 0;  ///< of the groups of the mesh, outside the plan
  SentBytes sent;             ///< in a step
  int64_t flops = 0;          ///< of a step
};

/// Throws Error(usage) when the axes, the schedule and the model do not fit each other.
RankPlan plan_rank(const Layout& layout, int rank);

}  // namespace trireme::model
