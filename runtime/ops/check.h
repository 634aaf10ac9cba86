// Shape and dtype checks of ops: a fault names the op, the operand, what was expected and what came. And the rule of
// storage: activations and the weights that layers read are all fp32 or all bf16 in one call; statistics, partials and
// gradients of parameters are fp32 always; arithmetic is fp32.
#pragma once

#include <string_view>

#include "runtime/bf16.h"
#include "runtime/view.h"

namespace trireme::runtime {

/// Throws Error(internal): "linear_forward: weight is (768, 2304) fp32, expected (2304, 768) fp32".
void check_operand(std::string_view op, std::string_view operand, const ConstView& view, DType dtype,
                   const Shape& shape);

/// Throws Error(internal): "layer_norm_forward: residual is (4, 3, 8) fp32, expected 2 axes".
void check_rank(std::string_view op, std::string_view operand, const ConstView& view, int rank);

/// The storage dtype of the operand that decides for the others. Throws Error(internal): "rope: qkv is (3, 8) i32,
/// expected fp32 or bf16".
DType storage_of(std::string_view op, std::string_view operand, const ConstView& view);

/// Calls action(T()) where T is the C++ type of a storage dtype, float or bf16.
template <typename Action>
void with_storage(DType storage, Action&& action) {
  if (storage == DType::bf16) {
    action(bf16());
  } else {
    action(float());
  }
}

}  // namespace trireme::runtime
