// A unit is one layer, the embedding, the positions or the head: its parameters are one contiguous range, and so are
// its gradients and moments. Units are what data parallelism reduces and what ZeRO cuts. Layouts are plain data;
// nothing here owns memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "parallel/box.h"

namespace trireme::parallel {

/// Parameters of a unit begin at multiples of so many elements, and ZeRO cuts it at them.
constexpr int64_t kAlignmentElements = 64;

/// What each rank of tp holds of a parameter, and what its gradient is there.
enum class Division {
  by_tokens,   ///< all of it; each rank makes the gradient of its own tokens, which is summed over tp
  replicated,  ///< all of it, with equal gradients
  rows,        ///< an equal part along the first axis: the outputs of a projection, or entries of the vocabulary
  columns,     ///< an equal part along the second axis: the inputs of a projection
};

struct ParameterSpec {
  std::string name;  ///< global: layers are numbered over the whole model
  std::vector<int64_t> global_shape;
  Box box;  ///< the part that this rank holds, in global coordinates
  Division division = Division::replicated;
  /// Laid directly behind its predecessor, without alignment, so that both can be seen as one matrix (q, k, v).
  bool fused_with_previous = false;
  /// Elements behind the box that stay zero: rows that make a matrix as tall as a device, or equal parts, want it.
  int64_t padding = 0;
};

struct PlacedParameter {
  ParameterSpec spec;
  int64_t offset = 0;  ///< in elements from the start of the unit
};

struct UnitLayout {
  std::string name;
  std::vector<PlacedParameter> parameters;
  int64_t elements = 0;             ///< with padding: a multiple of dp * 64
  int64_t by_tokens_elements = 0;   ///< leading elements that hold all of Division::by_tokens
  int64_t replicated_elements = 0;  ///< leading elements that all ranks of tp hold: those, and Division::replicated
};

/// The part of rank `index` of `parts` of tp: what `spec` (a whole one) is there. Equal parts, which the caller has
/// made sure of.
ParameterSpec divide(const ParameterSpec& spec, int index, int parts);

/// The same for a table of `spec.global_shape[0]` entries of a vocabulary: parts of equally many rows, a multiple of
/// `row_multiple`; the rows beyond the vocabulary are padding, at the end of the last parts.
ParameterSpec divide_vocabulary(const ParameterSpec& spec, int index, int parts, int64_t row_multiple);

/// Parameters in order, each at a multiple of 64 elements unless fused; the whole padded to dp * 64 elements. Those by
/// tokens come first, then the replicated ones, so that each kind is one range.
UnitLayout lay_out_unit(const std::string& name, const std::vector<ParameterSpec>& specs, int64_t dp);

}  // namespace trireme::parallel
