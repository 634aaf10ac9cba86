// What a rank gives to be saved or wants to have loaded: a part of a named tensor, in global coordinates. The
// checkpoint room sees names, shapes and bytes; what they mean is the model's affair.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "parallel/box.h"
#include "runtime/view.h"

namespace trireme::checkpoint {

struct TensorSlice {
  std::string name;                   ///< "h.0.attn.c_attn.weight", the same in every layout
  std::string kind;                   ///< "parameter", "exp_avg", "exp_avg_sq": a tensor is known by (name, kind)
  std::vector<int64_t> global_shape;  ///< one axis at least
  parallel::Box box;
  runtime::View data;  ///< the part `box`, row-major; of any shape with as many elements
};

}  // namespace trireme::checkpoint
