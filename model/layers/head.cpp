#include "model/layers/head.h"

#include <algorithm>

#include "runtime/ops/linear.h"
#include "runtime/ops/loss.h"

namespace trireme::model {

using runtime::ArenaFrame;
using runtime::ConstView;
using runtime::DType;
using runtime::View;

namespace {

/// Logits of one chunk. Each product of a chunk reads the whole output matrix, so that few tokens a chunk are slow: on
/// the CPU, with a vocabulary of 50,257, 160 tokens ran at 0.56 of the FMA peak, other products at 0.7. There 128 MB in
/// fp32, half in bf16; a GPU takes 1 GB in bf16, 10,000 tokens: products that fill it (by arithmetic, not measured).
int64_t chunk_elements(runtime::Device device) {
  return device == runtime::Device::cuda ? int64_t{1} << 29 : int64_t{1} << 25;
}

/// The first entry of the vocabulary that a rank's table holds.
int64_t vocabulary_begin(const Context& context, const View& table) {
  return context.tp.rank() * table.shape[0];
}

/// Logits and combined partials of tokens [begin, begin + count), in scratch of the caller's frame.
struct Chunk {
  ConstView y;
  ConstView targets;
  View logits;
  View partials;
};

Chunk chunk_forward(Context& context, const HeadWeights& weights, const TokenViews& tokens, ConstView y, int64_t begin,
                    View totals) {
  const int64_t most = head_chunk_tokens(y.shape[0], weights.table.shape[0], context.stream.planned_device());
  const int64_t count = std::min(most, y.shape[0] - begin);
  Chunk chunk{.y = y.rows(begin, count),
              .targets = tokens.targets.rows(begin, count),
              .logits = context.scratch.allocate(y.dtype, {count, weights.table.shape[0]}),
              .partials = context.scratch.allocate(DType::fp32, {count, 3})};
  head_logits(context, weights, chunk.y, chunk.logits);
  loss_partials(context.stream, chunk.logits, chunk.targets, vocabulary_begin(context, weights.table), chunk.partials);
  loss_combine(context.stream, context.tp, chunk.targets, chunk.partials, totals, context.scratch);
  return chunk;
}

}  // namespace

int64_t head_chunk_tokens(int64_t N, int64_t V, runtime::Device device) {
  const int64_t most = std::max<int64_t>(16, chunk_elements(device) / V / 16 * 16);
  const int64_t chunks = (N + most - 1) / most;
  return std::min(N, ((N + chunks - 1) / chunks + 15) / 16 * 16);
}

void head_logits(Context& context, const HeadWeights& weights, ConstView y, View logits) {
  linear_forward(context.stream, {.x = y, .weight = weights.table, .y = logits}, context.scratch);
  const int64_t rows = weights.table.shape[0];
  const int64_t entries =
      std::clamp<int64_t>(context.config.vocabulary_size - vocabulary_begin(context, weights.table), 0, rows);
  if (entries != rows) runtime::mask_padding(context.stream, entries, logits);
}

void head_loss(Context& context, const HeadWeights& weights, const TokenViews& tokens, ConstView y, View totals) {
  ArenaFrame frame(context.scratch);
  const ConstView all = gather_tokens(context, y, context.scratch);
  for (int64_t begin = 0; begin < all.shape[0];) {
    ArenaFrame chunk_frame(context.scratch);
    begin += chunk_forward(context, weights, tokens, all, begin, totals).y.shape[0];
  }
}

void head_loss_and_gradient(Context& context, const HeadWeights& weights, const HeadWeights& gradients,
                            const TokenViews& tokens, const NormSaved& saved, View dy, View totals) {
  ArenaFrame frame(context.scratch);
  const ConstView all = gather_tokens(context, saved.y, context.scratch);
  const View partial = partial_sums(context, dy);
  for (int64_t begin = 0; begin < all.shape[0];) {
    ArenaFrame chunk_frame(context.scratch);
    const Chunk chunk = chunk_forward(context, weights, tokens, all, begin, totals);
    const int64_t count = chunk.y.shape[0];
    loss_gradient(context.stream, chunk.partials, chunk.targets, vocabulary_begin(context, weights.table),
                  chunk.logits);
    linear_backward_input(context.stream, chunk.logits, weights.table, partial.rows(begin, count), context.scratch);
    linear_backward_weight(context.stream, chunk.logits, chunk.y, gradients.table, View(), context.scratch);
    begin += count;
  }
  sum_tokens(context, partial, dy);
}

}  // namespace trireme::model
