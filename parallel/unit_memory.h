// The memory of units under ZeRO (Rajbhandari et al. 2020, arXiv:1910.02054): what of each unit a rank of dp holds
// whole, what it owns a range of, and what lies in buffers that layers share. Knows ranges and memory, no messages and
// no layers.
//   stage 0  every rank owns all
//   stage 1  a rank owns one of dp equal ranges of the moments and masters; gradients and parameters are whole
//   stage 2  gradients of a rotating unit are whole in one of two buffers only, the owned range of their sum stays
//   stage 3  so are its parameters
// Only layers rotate: they are used one after another. Embeddings and the head take buffers of their own size in any
// case and stay as in stage 1, which needs no more memory than two buffers that could hold them, and fewer messages.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "runtime/arena.h"
#include "runtime/ops/adamw.h"
#include "runtime/view.h"

namespace trireme::parallel {

/// What is placed for one unit.
struct UnitSpec {
  int64_t elements = 0;  ///< a multiple of dp * 64
  bool rotates = false;  ///< is used between its neighbours only, like a layer
  /// Leading elements whose gradients each rank of tp makes from its own tokens alone: they are summed over tp too.
  int64_t partial_over_tp = 0;
  bool gradients_only = false;  ///< of a matrix that is another unit's: there are no parameters and no moments here
};

struct UnitMemoryOptions {
  int zero_stage = 0;                             ///< 0 to 3
  runtime::DType storage = runtime::DType::fp32;  ///< of what layers read; bf16 has fp32 masters
  bool training = true;                           ///< else there are parameters and masters alone, at stage 0
  int lanes = 0;                                  ///< of the global batch (lane_sums.h); 0: none
};

/// The memory of one unit on one rank. Whole ranges have `elements` elements; owned ones those of `owned`, which is
/// the whole at stage 0. Views may be parts of others: in fp32 masters are the owned part of the parameters, except at
/// stage 3, where the parameters that layers read are a passing copy.
struct UnitMemory {
  runtime::View parameters;  ///< whole, in storage: what layers read, after UnitShards::read()
  runtime::View gradients;   ///< whole, fp32: what layers add to, between begin_gradients() and end_gradients()
  runtime::ElementRange owned;
  runtime::View masters;         ///< owned, fp32: what is initialised, updated, saved and loaded
  runtime::View parameter_part;  ///< owned, in storage: what the others gather
  runtime::View gradient_part;   ///< owned, fp32: after finish_gradients() the sum over microbatches, dp, tokens of tp
  runtime::View exp_avg;         ///< owned, fp32
  runtime::View exp_avg_sq;      ///< owned, fp32
  /// Whole, fp32, with lanes: sums of 1, 2, 4 ... lanes that wait for as many more; then what other ranks have sent.
  std::vector<runtime::View> lane_sums;

  bool has_own_masters() const { return parameters.dtype != runtime::DType::fp32; }
};

/// The stage that a unit is really kept at: 0 in a group of one and without training, and 1 instead of 2 and 3 where it
/// does not rotate.
int zero_stage_of(const UnitSpec& spec, const UnitMemoryOptions& options, int dp);

/// The same of its gradients: with lanes they stay whole, and stages 2 and 3 keep them as stage 1 does. A rank adds its
/// sequences up in order before ranks add up theirs, so that it needs its own sums until the end of the step.
int gradient_stage_of(const UnitSpec& spec, const UnitMemoryOptions& options, int dp);

/// Buffers as long as a unit that its sums take on each rank: one for each level of the rank's own tree, log2(lanes /
/// dp), and at least one where there are other ranks. 0 without lanes.
int lane_buffers(int lanes, int dp);

/// The range of a unit that `rank` of `dp` owns.
runtime::ElementRange owned_range(int64_t elements, int zero_stage, int rank, int dp);

/// The buffer, 0 or 1, of each unit that is kept at stage 2 or 3: unit number i among them has buffer i % 2. 0 for
/// others.
std::vector<size_t> rotation_buffers(const std::vector<UnitSpec>& specs, const UnitMemoryOptions& options, int dp);

/// Places all units in `persistent`, not yet cleared. Throws Error(usage) with both numbers when lanes are no power of
/// two or dp does not divide them. With n = elements, s = bytes of storage and o = 4 where that is
/// bf16, else 0, a unit takes in training
///   stage 0     (s + o + 12) n bytes
///   stage 1     (s + 4) n + (o + 8) n / dp
///   stage 2     s n + (o + 12) n / dp, and 4 n in the buffer that it shares
///   stage 3     (s + o + 12) n / dp, and (s + 4) n in the buffers that it shares
/// and without training (s + o) n. A shared buffer is as long as the longest unit in it. With lanes a unit takes 4 n
/// more for each of its lane_buffers(), stage 2 takes what stage 1 does, and stage 3
///               (s + o + 8) n / dp + 4 n, and s n in the buffer that it shares.
std::vector<UnitMemory> place_units(const std::vector<UnitSpec>& specs, const UnitMemoryOptions& options, int rank,
                                    int dp, runtime::Arena& persistent);

}  // namespace trireme::parallel
