#include "model/layers/linear.h"

#include "runtime/ops/elementwise.h"
#include "runtime/ops/linear.h"

namespace trireme::model {

using runtime::Arena;
using runtime::ArenaFrame;
using runtime::ConstView;
using runtime::Epilogue;
using runtime::View;

namespace {

void product(Context& context, ConstView weight, ConstView bias, ConstView x, View y) {
  runtime::linear_forward(
      context.stream,
      {.x = x, .weight = weight, .bias = bias, .epilogue = bias.absent() ? Epilogue::none : Epilogue::bias, .y = y},
      context.scratch);
}

void weight_gradient(Context& context, const DeferredProduct& work) {
  ArenaFrame frame(context.scratch);
  const ConstView x = work.gather_x ? gather_tokens(context, work.x, context.scratch) : work.x;
  runtime::linear_backward_weight(context.stream, work.dy, x, work.dweight, work.dbias, context.scratch);
}

void now_or_later(Context& context, const DeferredProduct& work) {
  if (context.deferral == nullptr) return weight_gradient(context, work);
  context.deferral->products.push_back(work);
}

}  // namespace

ConstView gather_tokens(Context& context, ConstView x, Arena& arena) {
  const int P = context.tp.size();
  if (P == 1) return x;
  const View all = arena.allocate(x.dtype, {P * x.shape[0], x.shape[1]});
  context.tp.all_gather(x, all).wait();
  return all;
}

View partial_sums(Context& context, View y) {
  const int P = context.tp.size();
  return P == 1 ? y : context.scratch.allocate(y.dtype, {P * y.shape[0], y.shape[1]});
}

void sum_tokens(Context& context, ConstView partial, View y) {
  if (context.tp.size() > 1) context.tp.reduce_scatter(partial, y, runtime::ReduceOp::sum).wait();
}

Arena& operand_arena(Context& context) {
  return context.deferral == nullptr ? context.scratch : context.deferral->arena;
}

void linear(Context& context, const LinearWeights& weights, ConstView x, View y) {
  product(context, weights.weight, weights.bias, x, y);
}

void linear_row_parallel(Context& context, const LinearWeights& weights, ConstView x, View y) {
  ArenaFrame frame(context.scratch);
  const View partial = partial_sums(context, y);
  product(context, weights.weight, context.tp.rank() == 0 ? ConstView(weights.bias) : ConstView(), x, partial);
  sum_tokens(context, partial, y);
}

void linear_backward(Context& context, const LinearWeights& weights, const LinearWeights& gradients,
                     const GradientViews& views) {
  {
    ArenaFrame frame(context.scratch);
    const View partial = partial_sums(context, views.dx);
    runtime::linear_backward_input(context.stream, views.dy, weights.weight, partial, context.scratch);
    sum_tokens(context, partial, views.dx);
  }
  now_or_later(context, {.x = views.x,
                         .gather_x = context.tp.size() > 1,
                         .dy = views.dy,
                         .dweight = gradients.weight,
                         .dbias = gradients.bias});
}

void linear_row_parallel_backward(Context& context, const LinearWeights& weights, const LinearWeights& gradients,
                                  const GradientViews& views) {
  const ConstView dy = gather_tokens(context, views.dy, operand_arena(context));
  runtime::linear_backward_input(context.stream, dy, weights.weight, views.dx, context.scratch);
  now_or_later(context, {.x = views.x, .dy = dy, .dweight = gradients.weight, .dbias = gradients.bias});
}

void do_deferred(Context& context, const std::vector<DeferredProduct>& products, const std::vector<DeferredSum>& sums) {
  for (const DeferredProduct& work : products) weight_gradient(context, work);
  for (const DeferredSum& sum : sums) runtime::add(context.stream, sum.to, sum.from, sum.to);
}

}  // namespace trireme::model
