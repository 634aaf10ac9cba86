// Shape and dtype checks of ops: a fault names the op, the operand, what was expected and what came.
#pragma once

#include <string_view>

#include "runtime/view.h"

namespace trireme::runtime {

/// Throws Error(internal): "linear_forward: weight is (768, 2304) fp32, expected (2304, 768) fp32".
void check_operand(std::string_view op, std::string_view operand, const ConstView& view, DType dtype,
                   const Shape& shape);

/// Throws Error(internal): "layer_norm_forward: residual is (4, 3, 8) fp32, expected 2 axes".
void check_rank(std::string_view op, std::string_view operand, const ConstView& view, int rank);

}  // namespace trireme::runtime
