// y = x w^T, the matrix product of a layer, and its two backward products. Each states the 2 N C_in C_out flops of its
// product (what an epilogue or a bias gradient adds is not counted) and the bytes of its operands, accumulators twice.
// x, dy, y, dx, pre_activation, weight, bias are of one storage (fp32 or bf16), products accumulate in fp32. `scratch`
// is given back: on the CPU for panels of the operands, 12 MiB at most for bf16 and none for fp32; on the GPU for the
// workspace of cuBLASLt, 32 MiB, and 4 bytes for each element of a bias gradient. There the first call of a shape takes
// up to a second: algorithms are timed, and the choice is kept on disk (runtime/cuda/product_cache.h).
#pragma once

#include "runtime/arena.h"
#include "runtime/stream.h"
#include "runtime/view.h"

namespace trireme::runtime {

/// What follows the product in the same call.
enum class Epilogue {
  none,
  bias,       ///< y = x w^T + bias
  bias_gelu,  ///< pre_activation = x w^T + bias; y = gelu(pre_activation), of the stored value
};

/// x (N, C_in); weight (C_out, C_in); bias (C_out), absent for Epilogue::none; y (N, C_out);
/// pre_activation (N, C_out) only for bias_gelu.
struct LinearForward {
  ConstView x;
  ConstView weight;
  ConstView bias{};
  Epilogue epilogue = Epilogue::none;
  View y;
  View pre_activation{};
};
void linear_forward(Stream& stream, const LinearForward& args, Arena& scratch);

/// dx = dy w, overwriting. dy (N, C_out); weight (C_out, C_in); dx (N, C_in).
void linear_backward_input(Stream& stream, ConstView dy, ConstView weight, View dx, Arena& scratch);

/// dweight += dy^T x; dbias += column sums of dy (dbias may be absent). Both are fp32.
void linear_backward_weight(Stream& stream, ConstView dy, ConstView x, View dweight, View dbias, Arena& scratch);

}  // namespace trireme::runtime
