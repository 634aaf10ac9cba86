// Errors in the training of a layout, as a change to the program might make them, for tests of `verify`. Linked in
// place of the functions that they spoil (ld --wrap), on ranks that are threads; a layout of one rank stays right.
#pragma once

#include <string>

namespace trireme::tests {

struct PlantedFault {
  enum class Kind {
    none,
    missing_reduction,  ///< of one unit's gradients, after the last microbatch, on all ranks
    missing_tied_sum,   ///< of the two stages that hold a tied table
    shifted_range,      ///< what the first rank of dp owns of one unit begins an element late
    shifted_rows,       ///< what the first rank of tp holds of one parameter begins a row late
    shifted_layers,     ///< what the last stage holds begins a layer early
    wrong_scale,        ///< of one parameter's gradient, on the last rank of tp and of dp
    swapped_targets,    ///< of the first two microbatches, on the last rank
    late_copy,          ///< parameters are not gathered after an update
    no_decay,           ///< of one parameter, on the last rank
  };
  Kind kind = Kind::none;
  size_t unit = 0;          ///< among those of a rank
  std::string parameter{};  ///< by name
  double scale = 1;         ///< of a wrong scale
};

/// While it lives, on all ranks.
class FaultScope {
 public:
  explicit FaultScope(const PlantedFault& fault);
  ~FaultScope();
  FaultScope(const FaultScope&) = delete;
  FaultScope& operator=(const FaultScope&) = delete;
};

}  // namespace trireme::tests
