// The memory that a run will take: what every rank has planned, what of it falls on one machine, and whether there is
// so much. A process that takes more than there is would be killed without a word.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "launch/layout_plan.h"
#include "launch/training_settings.h"
#include "runtime/communicator.h"
#include "runtime/memory.h"

namespace trireme::launch {

struct RankMemory {
  std::string host;
  int64_t persistent_bytes = 0;
  int64_t slot_bytes = 0;
  int64_t scratch_bytes = 0;
  int64_t staging_bytes = 0;  ///< of messages, outside of the plan

  int64_t total_bytes() const { return persistent_bytes + slot_bytes + scratch_bytes; }
};

/// Of all ranks, in order. Collective.
std::vector<RankMemory> gather_plans(runtime::Communicator& world, const runtime::MemoryPlan& plan,
                                     int64_t staging_bytes);

/// That of the rank that needs most.
const RankMemory& largest(const std::vector<RankMemory>& plans);

/// {"persistent": [of each rank ...], "slots": ..., "scratch": ..., "staging": ...}, for config.json.
boost::json::object planned_bytes_json(const std::vector<RankMemory>& plans);

/// What a rank's settings are planned by, with the memory that libraries take for themselves: by the calibration, else
/// on a GPU some.
PlannedTraining planned_training(const TrainingSettings& settings);

/// Throws Error(usage) with both numbers and what would need less when `needed_bytes` of the rank that needs most, with
/// staging and reserve, are more than --device-memory; without that option there is no limit here.
void check_device_memory(const TrainingSettings& settings, int64_t needed_bytes);

/// The same of plans; also when the plans of this rank's machine exceed its free memory, on a GPU or on the host, and
/// when there is no room for the twin of a GPU's checkpoint.
void check_memory(const TrainingSettings& settings, const std::vector<RankMemory>& plans, int rank);

/// Bytes of host memory for this rank's copy of a step that is being saved, of `wanted_bytes` for one that training
/// never waits for: all of them where this machine has so much free, else this rank's share of what it has; or what
/// --snapshot-memory says, with Error(usage) where there is not so much. Collective; all planned memory is taken.
int64_t share_snapshot_memory(runtime::Communicator& world, int64_t wanted_bytes, std::optional<double> asked_gb);

}  // namespace trireme::launch
