// The memory that a job asks for on each of its machines: what the ranks there plan, by a dry step, and what they take
// beside it.
#pragma once

#include <cstdint>

#include "launch/training_settings.h"

namespace trireme::launch {

/// Bytes of host memory of the machine that needs most; ranks fill machines in their order, as Slurm places them.
int64_t node_memory_bytes(const TrainingSettings& settings, int ranks_per_node);

}  // namespace trireme::launch
