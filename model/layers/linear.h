// A linear projection as layers hold it: y = x w^T + b, the bias where there is one; over tp either its outputs are
// divided (column parallel) or its inputs (row parallel; Shoeybi et al. 2019, arXiv:1909.08053).
#pragma once

#include <vector>

#include "model/layers/context.h"

namespace trireme::model {

struct LinearWeights {
  runtime::View weight;  ///< (C_out, C_in)
  runtime::View bias;    ///< (C_out), or absent
};

/// x (N, C) of all tokens, from this rank's x (N_local, C): x itself alone, else gathered over tp into `arena`.
runtime::ConstView gather_tokens(Context& context, runtime::ConstView x, runtime::Arena& arena);

/// What a row parallel product writes to before sum_tokens(): y itself alone, else (N, C) in scratch of the caller's
/// frame.
runtime::View partial_sums(Context& context, runtime::View y);
/// y (N_local, C) := this rank's tokens of the sum of `partial` (N, C) over tp; nothing to do alone.
void sum_tokens(Context& context, runtime::ConstView partial, runtime::View y);

/// y (N, C_out) is overwritten; x (N, C_in). With tp C_out is this rank's part.
void linear(Context& context, const LinearWeights& weights, runtime::ConstView x, runtime::View y);

/// y (N_local, C_out) is overwritten; x (N, C_in), of whose channels this rank has its part: their products are summed
/// over tp, the bias added once.
void linear_row_parallel(Context& context, const LinearWeights& weights, runtime::ConstView x, runtime::View y);

struct GradientViews {
  runtime::ConstView x;
  runtime::ConstView dy;
  runtime::View dx;
};
/// Of linear() over gathered tokens: dx (N_local, C_in), summed over tp, from dy (N, C_out); weight gradients
/// accumulate. x (N_local, C_in) is this rank's part of the forward's input.
void linear_backward(Context& context, const LinearWeights& weights, const LinearWeights& gradients,
                     const GradientViews& views);
/// dx (N, C_in) from dy (N_local, C_out); weight gradients accumulate. x (N, C_in) is the forward's input.
void linear_row_parallel_backward(Context& context, const LinearWeights& weights, const LinearWeights& gradients,
                                  const GradientViews& views);

/// dweight += dy^T x, dbias += column sums of dy, to be done later. Of a row parallel product dy is of all tokens,
/// which does not shrink with tp: keeping it costs memory, gathering it again would cost a message.
struct DeferredProduct {
  runtime::ConstView x;  ///< this rank's tokens of it, where it must be gathered over tp
  bool gather_x = false;
  runtime::ConstView dy;
  runtime::View dweight;
  runtime::View dbias;
};
/// to += from
struct DeferredSum {
  runtime::ConstView from;
  runtime::View to;
};
struct Deferral {
  runtime::Arena& arena;  ///< lives until the work is done
  std::vector<DeferredProduct>& products;
  std::vector<DeferredSum>& sums;
};
/// The work that a backward with a deferral has left.
void do_deferred(Context& context, const std::vector<DeferredProduct>& products, const std::vector<DeferredSum>& sums);

/// Where what a deferred product reads is to lie: the deferral's arena, or scratch of the caller's frame without one.
runtime::Arena& operand_arena(Context& context);

}  // namespace trireme::model
