// What follows the product of a linear layer on the CPU: bias, gelu and the one rounding to the storage.
#pragma once

#include <cstdint>

#include "runtime/ops/linear.h"

namespace trireme::runtime::cpu {

struct Range {
  int64_t begin;
  int64_t count;
};

/// Row n, outputs `outputs` of the epilogue of `args`, from their fp32 products, which may lie where they are stored.
/// Reads and writes bias, pre_activation and y of `args` only.
void store_outputs(const LinearForward& args, int64_t n, Range outputs, const float* product);

}  // namespace trireme::runtime::cpu
