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
  InstructionSets sets{.v3 = __builtin_cpu_supports("x86-64-v3") != 0, .v4 = __builtin_cpu_supports("x86-64-v4") != 0};
  const auto needs = [&](bool supported, const char* name) {
    if (!supported) sets.missing_v3 += (sets.missing_v3.empty() ? "" : ", ") + std::string(name);
  };
  // gcc wants each name as a literal.
  needs(__builtin_cpu_supports("avx"), "AVX");
  needs(__builtin_cpu_supports("avx2"), "AVX2");
  needs(__builtin_cpu_supports("fma"), "FMA");
  needs(__builtin_cpu_supports("f16c"), "F16C");
  needs(__builtin_cpu_supports("bmi"), "BMI1");
  needs(__builtin_cpu_supports("bmi2"), "BMI2");
  needs(__builtin_cpu_supports("lzcnt"), "LZCNT");
  needs(__builtin_cpu_supports("movbe"), "MOVBE");
  return sets;
}

std::optional<std::string> why_not_here(const std::string& processor, const InstructionSets& instructions) {
  if (instructions.v3) return std::nullopt;
  const std::string missing = instructions.missing_v3.empty() ? "a part of x86-64-v3" : instructions.missing_v3;
  return "this processor (" + processor + ") lacks " + missing +
         ", which trireme needs; run it on a processor of 2013 or later, or let the virtual machine pass AVX2 and FMA "
         "through";
}

}  // namespace trireme::runtime
