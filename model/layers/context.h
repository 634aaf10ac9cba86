// What every layer's forward and backward is given besides weights and activations: where it runs, its scratch, its
// group, and the constants of the model. A layer knows neither devices nor ranks. Between layers a rank of tp holds
// N_local = N / tp rows of the residual stream: the rank-th part of the N = B * T tokens (sequence parallelism,
// Korthikanti et al. 2022, arXiv:2205.05198); alone it holds all.
#pragma once

#include <cstdint>

#include "model/config.h"
#include "model/execution.h"
#include "runtime/arena.h"
#include "runtime/communicator.h"
#include "runtime/stream.h"

namespace trireme::model {

/// Products of weight gradients that a backward leaves for later (zero bubble schedules), and where their operands lie.
struct Deferral;

struct Context {
  const ModelConfig& config;
  runtime::Stream& stream;
  runtime::Arena& scratch;
  runtime::Communicator& tp;
  runtime::ConstView rope_table{};  ///< (positions, D), absent without rope
  Recompute recompute = Recompute::none;
  float dropout = 0;             ///< probability; 0 outside training
  uint64_t seed = 0;             ///< of the dropout bits
  Deferral* deferral = nullptr;  ///< null: weight gradients are made at once
};

/// Tokens of one microbatch, N = B * T, with what identifies them.
struct TokenViews {
  int64_t B = 0;
  int64_t T = 0;
  runtime::View tokens;      ///< (N) i32
  runtime::View positions;   ///< (N) i32
  runtime::View targets;     ///< (N) i32, negative: no target
  runtime::View samples;     ///< (B) i64, global sample index
  runtime::View first_keys;  ///< (N) i32: attention stays inside documents (runtime/ops/attention.h); or absent
};

/// Tokens that follow `past` cached ones in each sequence.
struct CachedTokens {
  TokenViews tokens;
  int64_t past = 0;
};

/// The residual stream between two layers: residual + branch, the addition not yet done (the next norm does it). Both
/// (N_local, C); branch is absent at the very start.
struct ResidualStream {
  runtime::View residual;
  runtime::View branch;
};

/// Places of dropout inside a layer: site = layer * 8 + place (DESIGN, "Randomness").
enum class DropoutPlace : uint16_t { attention = 0, feed_forward = 1, embedding = 2 };

/// y = dropout(x) at this place, (N_local, C), y may be x. With a probability of 0 nothing is done: callers then use x.
/// Its own backward, over gradients.
void apply_dropout(Context& context, int64_t layer, DropoutPlace place, const TokenViews& tokens, runtime::ConstView x,
                   runtime::View y);

}  // namespace trireme::model
