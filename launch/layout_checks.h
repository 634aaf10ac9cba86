// Whether a layout fits model, ranks and batch, and which one near by would. Every function throws Error(usage): one
// line with the option, both numbers and the nearest choice.
#pragma once

#include <cstdint>
#include <functional>

#include "launch/options.h"
#include "model/config.h"
#include "parallel/mesh.h"

namespace trireme::launch {

/// The number in [least, most] nearest to `wanted` that fits, the smaller of two; 0 when none does.
int64_t nearest_that(int64_t wanted, int64_t least, int64_t most, const std::function<bool(int64_t)>& fits);

/// --tensor-parallel divides heads, K/V heads, feed-forward width and the sequence length T.
void check_tensor_parallel(const TrainOptions& options, const model::ModelConfig& model, int64_t T, int64_t ranks);

/// Each chunk of the pipeline has a layer.
void check_stages(const TrainOptions& options, const model::ModelConfig& model, int64_t ranks);

/// The axes divide the ranks; returns the mesh. The checks above have passed.
parallel::Mesh check_ranks(const TrainOptions& options, const model::ModelConfig& model, int64_t T, int64_t ranks);

/// The ranks of dp divide the global batch and --microbatch-size divides the share of each.
void check_batch(const TrainOptions& options, const parallel::Mesh& mesh);

/// The lanes of --reproducible are a power of two, which the ranks of dp divide and which divides the global batch.
void check_lanes(const TrainOptions& options, const parallel::Mesh& mesh);

/// Interleaved 1F1B takes microbatches in groups of as many as there are stages.
void check_interleaving(const TrainOptions& options, const parallel::Mesh& mesh, int64_t microbatch_size);

}  // namespace trireme::launch
