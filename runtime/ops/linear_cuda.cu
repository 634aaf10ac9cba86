#include "runtime/ops/linear_cuda.h"

#include <algorithm>
#include <initializer_list>

#include "runtime/arena.h"
#include "runtime/cuda/linear_plans.cuh"
#include "runtime/ops/column_sums_cuda.cuh"
#include "runtime/ops/gelu_cuda.h"

namespace trireme::runtime::cuda {
namespace {

/// The largest power of two that all addresses are multiples of, up to what arenas promise: views into arenas' views
/// (rows of an odd width, parameters of a unit) may be aligned to their elements only.
int64_t common_alignment(std::initializer_list<const void*> addresses) {
  auto bits = static_cast<uintptr_t>(Arena::kAlignmentBytes);
  for (const void* address : addresses) bits |= reinterpret_cast<uintptr_t>(address);
  return static_cast<int64_t>(bits & (~bits + 1));
}

LinearScratch parts_of(View scratch) {
  auto* bytes = static_cast<std::byte*>(scratch.data);
  return {bytes, reinterpret_cast<float*>(bytes + kLinearWorkspaceBytes)};
}

/// product = x w^T + bias.
void product_with_bias(CudaQueue& queue, const LinearForward& args, View product, const LinearScratch& scratch) {
  LinearPlans& plans = linear_plans(queue);
  ProductKey key{.kind = ProductKind::forward_bias,
                 .storage = product.dtype,
                 .N = args.x.shape[0],
                 .C_in = args.x.shape[1],
                 .C_out = args.weight.shape[0],
                 .alignment_bytes = common_alignment({args.x.data, args.weight.data, args.bias.data, product.data})};
  const ProductOperands operands{args.x.data, args.weight.data, product.data, args.bias.data};
  const LinearPlan& plan = plans.plan(queue, key, scratch);
  if (plan.choice) return plan.run(queue, operands, scratch.workspace);
  // cuBLASLt does not add a bias to products of every shape. Its sum with what stands in y is rounded once as well.
  copy_to_rows(queue, args.bias, product);
  key.kind = ProductKind::forward_onto;
  plans.plan(queue, key, scratch).run(queue, operands, scratch.workspace);
}

}  // namespace

void linear_forward(CudaQueue& queue, const LinearForward& args, View scratch_view) {
  const int64_t N = args.x.shape[0];
  const int64_t C_out = args.weight.shape[0];
  if (N == 0 || C_out == 0) return;
  const LinearScratch scratch = parts_of(scratch_view);
  switch (args.epilogue) {
    case Epilogue::none: {
      const ProductKey key{.kind = ProductKind::forward,
                           .storage = args.y.dtype,
                           .N = N,
                           .C_in = args.x.shape[1],
                           .C_out = C_out,
                           .alignment_bytes = common_alignment({args.x.data, args.weight.data, args.y.data})};
      linear_plans(queue)
          .plan(queue, key, scratch)
          .run(queue, {args.x.data, args.weight.data, args.y.data}, scratch.workspace);
      break;
    }
    case Epilogue::bias:
      product_with_bias(queue, args, args.y, scratch);
      break;
    case Epilogue::bias_gelu:
      // Not by cuBLASLt's epilogue GELU_AUX_BIAS: that takes gelu of the sum before it is rounded to the storage, and a
      // later gelu_forward of what was stored (recomputation) would give other bits than y.
      product_with_bias(queue, args, args.pre_activation, scratch);
      gelu_forward(queue, args.pre_activation, args.y);
      break;
  }
}

void linear_backward_input(CudaQueue& queue, ConstView dy, ConstView weight, View dx, View scratch_view) {
  const int64_t N = dy.shape[0];
  const int64_t C_in = weight.shape[1];
  if (N == 0 || C_in == 0) return;
  const LinearScratch scratch = parts_of(scratch_view);
  const ProductKey key{.kind = ProductKind::backward_input,
                       .storage = dx.dtype,
                       .N = N,
                       .C_in = C_in,
                       .C_out = dy.shape[1],
                       .alignment_bytes = common_alignment({dy.data, weight.data, dx.data})};
  linear_plans(queue).plan(queue, key, scratch).run(queue, {dy.data, weight.data, dx.data}, scratch.workspace);
}

void linear_backward_weight(CudaQueue& queue, ConstView dy, ConstView x, View dweight, View dbias, View scratch_view) {
  const int64_t N = dy.shape[0];
  const int64_t C_in = x.shape[1];
  const int64_t C_out = dy.shape[1];
  if (N == 0 || C_out == 0) return;
  const LinearScratch scratch = parts_of(scratch_view);
  LinearPlans& plans = linear_plans(queue);
  ProductKey key{.kind = ProductKind::backward_weight,
                 .storage = dy.dtype,
                 .N = N,
                 .C_in = C_in,
                 .C_out = C_out,
                 .alignment_bytes = common_alignment({dy.data, x.data, dweight.data})};
  const ProductOperands operands{dy.data, x.data, dweight.data, scratch.sums};
  if (!dbias.absent()) {
    key.kind = ProductKind::backward_weight_bias;
    const LinearPlan& plan = plans.plan(queue, key, scratch);
    if (plan.choice && plan.choice->bias_gradient == BiasGradient::product) {
      plan.run(queue, operands, scratch.workspace);
      add_to_sums(queue, scratch.sums, dbias.as<float>(), C_out);
      return;
    }
    key.kind = ProductKind::backward_weight;
  }
  plans.plan(queue, key, scratch).run(queue, operands, scratch.workspace);
  // After the product, whose workspace the partial sums take over.
  if (!dbias.absent()) add_column_sums(queue, dy, dbias.as<float>(), static_cast<float*>(scratch.workspace));
}

}  // namespace trireme::runtime::cuda
