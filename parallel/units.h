// A unit is one layer, the embedding or the head: its parameters are one contiguous range, and so are its gradients and
// moments. Units are what data parallelism reduces and what ZeRO will cut. Layouts are plain data; nothing here owns
// memory.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "parallel/box.h"

namespace trireme::parallel {

struct ParameterSpec {
  std::string name;  ///< global: layers are numbered over the whole model
  std::vector<int64_t> global_shape;
  Box box;  ///< the part that this rank holds, in global coordinates
  /// Laid directly behind its predecessor, without alignment, so that both can be seen as one matrix (q, k, v).
  bool fused_with_previous = false;
  int64_t padding =
      0;  ///< elements behind the box that stay zero: rows that make a matrix as tall as a device likes it
};

struct PlacedParameter {
  ParameterSpec spec;
  int64_t offset = 0;  ///< in elements from the start of the unit
};

struct UnitLayout {
  std::string name;
  std::vector<PlacedParameter> parameters;
  int64_t elements = 0;  ///< with padding: a multiple of dp * 64
};

/// Parameters in order, each at a multiple of 64 elements unless fused; the whole padded to dp * 64 elements.
UnitLayout lay_out_unit(const std::string& name, const std::vector<ParameterSpec>& specs, int64_t dp);

}  // namespace trireme::parallel
