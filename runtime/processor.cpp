#include "runtime/processor.h"

#include <unistd.h>

#include <fstream>

namespace trireme::runtime {

std::string processor_name() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (!line.starts_with("model name")) continue;
    const size_t begin = line.find_first_not_of(" \t", line.find(':') + 1);
    if (begin != std::string::npos) return line.substr(begin);
  }
  return "unknown processor";
}

int64_t processor_cores() {
  return sysconf(_SC_NPROCESSORS_ONLN);
}

InstructionSets instruction_sets() {
  return {.avx2 = __builtin_cpu_supports("avx2") != 0};
}

std::optional<std::string> why_not_here(const std::string& processor, const InstructionSets& instructions) {
  if (instructions.avx2) return std::nullopt;
  return "this processor (" + processor + ") lacks AVX2, which trireme needs";
}

}  // namespace trireme::runtime
