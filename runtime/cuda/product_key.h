// Which matrix product of a linear layer, of which sizes: what an algorithm is chosen for. No word
// of cuBLASLt itself.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <string>

#include "runtime/dtype.h"

namespace trireme::runtime::cuda {

/// Row-major: x, dx (N, C_in); y, dy (N, C_out); w (C_out, C_in); all but the gradients of parameters in the storage
/// dtype, those fp32.
enum class ProductKind {
  forward,               ///< y = x w^T
  forward_bias,          ///< y = x w^T + bias
  forward_onto,          ///< y += x w^T, rounded once
  backward_input,        ///< dx = dy w
  backward_weight,       ///< dweight += dy^T x
  backward_weight_bias,  ///< the same, and sums = column sums of dy (fp32)
};

struct ProductKey {
  ProductKind kind;
  DType storage;
  int64_t N;
  int64_t C_in;
  int64_t C_out;
  /// What all operands are aligned to, a power of two: algorithms differ in what they ask for.
  int64_t alignment_bytes;

  auto operator<=>(const ProductKey&) const = default;
};

/// The words of a cublasLtMatmulAlgo_t, which may be kept and used again with the same version of cuBLASLt.
using ProductAlgorithm = std::array<uint64_t, 8>;

/// "backward_weight bf16 N1024 in768 out3072 aligned64"
std::string to_string(const ProductKey& key);

}  // namespace trireme::runtime::cuda
