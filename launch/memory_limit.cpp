#include "launch/memory_limit.h"

#include "launch/number_text.h"
#include "runtime/arena.h"
#include "runtime/error.h"

namespace trireme::launch {

MemoryLimit memory_limit(std::optional<double> asked_gb, const runtime::Calibration& calibration,
                         int ranks_of_machine) {
  if (asked_gb) return {.bytes = static_cast<int64_t>(*asked_gb * 1e9), .source = "--device-memory"};
  if (calibration.device_memory_bytes > 0) {
    return {.bytes = calibration.device_memory_bytes, .source = calibration.processor};
  }
  const std::optional<int64_t> free_bytes = runtime::available_memory_bytes(runtime::Device::cpu);
  if (!free_bytes) {
    throw runtime::Error(runtime::ErrorKind::usage,
                         "--search needs to know the memory of a rank, and this machine does not say how much is free: "
                         "give --device-memory GB");
  }
  return {.bytes = *free_bytes / ranks_of_machine,
          .source = "free memory of this machine, shared by " + counted(ranks_of_machine, "rank")};
}

}  // namespace trireme::launch
