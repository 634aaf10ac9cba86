#include "runtime/ops/linear_bf16_cpu.h"

#include <algorithm>
#include <cstdint>

#include "runtime/ops/linear_epilogue_cpu.h"
#include "runtime/simd.h"

namespace trireme::runtime::cpu {
namespace {

constexpr int64_t kLargestBlock = 1024;

/// Blocks of about equal size, whole cache lines of fp32: a last block of a few rows would make a slow product.
int64_t block_size(int64_t count) {
  constexpr int64_t kLine = 16;
  const int64_t blocks = std::max<int64_t>(1, (count + kLargestBlock - 1) / kLargestBlock);
  return ((count + blocks - 1) / blocks + kLine - 1) / kLine * kLine;
}

/// Calls action(range) for the blocks of [0, count) in order.
template <typename Action>
void for_each_block(int64_t count, Action&& action) {
  const int64_t size = block_size(count);
  for (int64_t begin = 0; begin < count; begin += size) action(Range{begin, std::min(size, count - begin)});
}

TRIREME_SIMD void widen(const bf16* from, float* to, int64_t count) {
#pragma omp simd
  for (int64_t i = 0; i < count; ++i) to[i] = from[i];
}

/// Rows and columns of a factor as fp32 in `panel`.
Factor<float> widened(Factor<bf16> factor, Range rows, Range columns, View panel) {
  const Range down = factor.transposed ? columns : rows;  // as stored
  const Range across = factor.transposed ? rows : columns;
  const bf16* from = factor.data + down.begin * factor.row + across.begin;
  float* to = panel.as<float>();
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < down.count; ++i) widen(from + i * factor.row, to + i * across.count, across.count);
  return {to, across.count, factor.transposed};
}

struct Product {
  int64_t k;
  Factor<bf16> a;
  Factor<bf16> b;
  const ProductPanels& panels;
};

/// c = rows and columns of a b, + beta c.
void multiply_block(const Product& product, Range rows, Range columns, float beta, float* c, int64_t c_row) {
  for_each_block(product.k, [&](Range depth) {
    const Factor<float> a = widened(product.a, rows, depth, product.panels.a);
    const Factor<float> b = widened(product.b, depth, columns, product.panels.b);
    multiply({rows.count, columns.count, depth.count}, a, b, depth.begin == 0 ? beta : 1.0f, c, c_row);
  });
}

/// outputs.y = a b and what the epilogue of `outputs` adds.
void multiply_and_store(const Product& product, const LinearForward& outputs) {
  float* c = product.panels.c.as<float>();
  for_each_block(outputs.y.shape[0], [&](Range rows) {
    for_each_block(outputs.y.shape[1], [&](Range columns) {
      multiply_block(product, rows, columns, 0.0f, c, columns.count);
#pragma omp parallel for schedule(static)
      for (int64_t i = 0; i < rows.count; ++i) {
        store_outputs(outputs, rows.begin + i, columns, c + i * columns.count);
      }
    });
  });
}

}  // namespace

ProductPanels product_panels(Arena& scratch, ProductSizes sizes) {
  const int64_t m = block_size(sizes.m);
  const int64_t n = block_size(sizes.n);
  const int64_t k = block_size(sizes.k);
  return {.a = scratch.allocate(DType::fp32, {m, k}),
          .b = scratch.allocate(DType::fp32, {k, n}),
          .c = scratch.allocate(DType::fp32, {m, n})};
}

void linear_forward_bf16(const LinearForward& args, const ProductPanels& panels) {
  const int64_t C_in = args.x.shape[1];
  multiply_and_store({C_in, {args.x.as<bf16>(), C_in, false}, {args.weight.as<bf16>(), C_in, true}, panels}, args);
}

void linear_backward_input_bf16(ConstView dy, ConstView weight, View dx, const ProductPanels& panels) {
  const int64_t C_out = weight.shape[0];
  const int64_t C_in = weight.shape[1];
  multiply_and_store({C_out, {dy.as<bf16>(), C_out, false}, {weight.as<bf16>(), C_in, false}, panels}, {.y = dx});
}

void linear_backward_weight_bf16(ConstView dy, ConstView x, View dweight, const ProductPanels& panels) {
  const int64_t N = dy.shape[0];
  const int64_t C_out = dy.shape[1];
  const int64_t C_in = x.shape[1];
  const Product product{N, {dy.as<bf16>(), C_out, true}, {x.as<bf16>(), C_in, false}, panels};
  for_each_block(C_out, [&](Range rows) {
    for_each_block(C_in, [&](Range columns) {
      float* c = dweight.as<float>() + rows.begin * C_in + columns.begin;
      multiply_block(product, rows, columns, 1.0f, c, C_in);
    });
  });
}

}  // namespace trireme::runtime::cpu
