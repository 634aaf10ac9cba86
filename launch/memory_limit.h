// How much memory a rank may take when layouts are searched: what was asked for, else what its device has.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "runtime/calibration.h"

namespace trireme::launch {

struct MemoryLimit {
  int64_t bytes = 0;   ///< of a rank
  std::string source;  ///< "--device-memory", "NVIDIA H100 SXM 80 GB"
};

/// `asked_gb` of --device-memory; else the memory of the device whose figures were published; else this machine's free
/// memory, shared by the ranks of a machine. Throws Error(usage) where nobody knows.
MemoryLimit memory_limit(std::optional<double> asked_gb, const runtime::Calibration& calibration, int ranks_of_machine);

}  // namespace trireme::launch
