// linear on the CPU for bf16 storage, plain: blocks of the factors are widened to fp32 panels in scratch, OpenBLAS
// multiplies them and adds up the blocks in fp32, and each output is rounded once. It is the oracle for faster kernels
// behind the same interface.
#pragma once

#include "runtime/arena.h"
#include "runtime/ops/linear.h"
#include "runtime/ops/matrix_product_cpu.h"

namespace trireme::runtime::cpu {

/// fp32 copies of a block of each factor and of their product: 12 MiB at most together.
struct ProductPanels {
  View a;
  View b;
  View c;
};
ProductPanels product_panels(Arena& scratch, ProductSizes sizes);

void linear_forward_bf16(const LinearForward& args, const ProductPanels& panels);
void linear_backward_input_bf16(ConstView dy, ConstView weight, View dx, const ProductPanels& panels);
/// dweight only.
void linear_backward_weight_bf16(ConstView dy, ConstView x, View dweight, const ProductPanels& panels);

}  // namespace trireme::runtime::cpu
