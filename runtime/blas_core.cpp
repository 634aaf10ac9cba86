#include "runtime/blas_core.h"

#include <algorithm>
#include <array>
#include <cstdlib>

#include <cblas.h>

namespace trireme::runtime {

std::optional<std::string_view> better_blas_core(std::string_view chosen, const InstructionSets& instructions) {
  // Chosen on purpose for processors with AVX2 at least; anything else on such a processor is the fall-back.
  constexpr std::array<std::string_view, 6> kFast = {"Haswell",  "Zen",        "Excavator",
                                                     "SkylakeX", "Cooperlake", "Sapphirerapids"};
  if (std::ranges::find(kFast, chosen) != kFast.end()) return std::nullopt;
  if (instructions.v4) return "SkylakeX";
  if (instructions.v3) return "Haswell";
  return std::nullopt;
}

std::optional<std::string_view> wanted_blas_core() {
  if (std::getenv("OPENBLAS_CORETYPE") != nullptr) return std::nullopt;
  return better_blas_core(openblas_get_corename(), instruction_sets());
}

}  // namespace trireme::runtime
