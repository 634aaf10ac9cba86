// The processor that the program runs on: its name for reports, and whether it has the instructions that are promised.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace trireme::runtime {

/// "Intel(R) Xeon(R) Platinum 8488C" as the system names it; "unknown processor" when it does not.
std::string processor_name();

/// Processors that the system has, whether or not this process may use them all.
int64_t processor_cores();

/// The levels of the x86-64 ABI for which kernels have clones (simd.h), by which the system's linker chooses them.
struct InstructionSets {
  bool v3 = false;  ///< AVX2, FMA, BMI2 and what came with them
  bool v4 = false;  ///< AVX-512 too
  std::string
      missing_v3{};  ///< "AVX2, FMA": what this processor, or the virtual machine around the program, lacks of v3
};
InstructionSets instruction_sets();

/// Why the program refuses a processor of these instructions, with the mend; nothing when it runs. Nothing here would
/// crash without them: every kernel has a clone for plain x86-64, CRC32C a table beside the instruction, and OpenBLAS
/// kernels for every processor. But they would be several times slower and nobody tests them, so that a refusal is the
/// better answer.
std::optional<std::string> why_not_here(const std::string& processor, const InstructionSets& instructions);

}  // namespace trireme::runtime
