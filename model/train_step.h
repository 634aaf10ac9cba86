// One training step over one global batch: forward and backward of each microbatch, reduction over dp, clipping,
// update. The same code runs on the CPU, on a GPU and dry, which is how the memory plan is made. It knows neither files
// nor options nor where tokens come from.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "model/execution.h"
#include "model/transformer.h"
#include "parallel/gradient_reduction.h"
#include "parallel/mesh.h"
#include "runtime/memory.h"
#include "runtime/recording.h"
#include "runtime/time_marks.h"

namespace trireme::model {

/// A microbatch in host memory: tokens, targets (B*T), samples (B). Null pointers are fine on a dry stream.
struct HostMicrobatch {
  int64_t B = 0;
  int64_t T = 0;
  const int32_t* tokens = nullptr;
  const int32_t* targets = nullptr;  ///< negative: no target
  const int64_t* samples = nullptr;
};

/// Copies a microbatch into its slot and adds the positions of its tokens.
TokenViews upload_tokens(runtime::Stream& stream, runtime::Arena& slot, const HostMicrobatch& batch);

/// What one update does to the parameters.
struct UpdateOptions {
  double learning_rate = 6e-4;
  double weight_decay = 0.1;
  double beta1 = 0.9;
  double beta2 = 0.95;
  double epsilon = 1e-8;
  double clip_grad_norm = 1;  ///< 0: no clipping
  double dropout = 0;
  uint64_t seed = 0;
  int64_t update = 1;  ///< number of this update, from 1, for Adam's bias corrections
  bool operator==(const UpdateOptions&) const = default;
};

struct StepTimes {
  double forward_seconds = 0;
  double backward_seconds = 0;
  double reduce_seconds = 0;  ///< waiting for the reduction after the last backward
  double update_seconds = 0;
};

struct StepResult {
  double loss = 0;       ///< mean over the target tokens of the global batch
  double grad_norm = 0;  ///< of the gradient of that mean, before clipping
  int64_t target_tokens = 0;
  bool updated = true;  ///< false: loss or gradient was not finite, the update was skipped on all ranks
  StepTimes times;
};

/// The actions of a step, as they are repeated. A microbatch always lies at the same place of the same slot.
struct StepRecordings {
  int64_t B = 0;  ///< of the microbatches that were recorded
  int64_t T = 0;
  UpdateOptions options;  ///< that were recorded; learning rate and number of the update do not count
  runtime::Recording forward;
  runtime::Recording backward;
  runtime::Recording update;
};

/// What a rank holds to train or evaluate. Lives as long as the run; everything inside lies in `memory`.
struct Trainer {
  const ModelConfig config;
  const Execution execution;
  runtime::Stream& stream;
  runtime::Memory& memory;
  parallel::MeshGroups& groups;
  std::vector<Unit> units;
  runtime::View rope_table;  ///< (positions, D), absent without rope
  TransformerWeights weights;
  TransformerWeights gradients;
  runtime::View totals;           ///< (3) fp64: loss sum, target count, sum of squares of the gradient
  runtime::View update_schedule;  ///< (4) fp32: AdamWViews::schedule of the step; absent for inference
  TransformerSaved saved;
  parallel::GradientReduction reduction;
  StepRecordings recordings;
  runtime::TimeMarks marks;
};

/// Places everything persistent in memory.persistent and clears it. Parameters are zero: initialize() them, or load the
/// masters and round_masters().
std::unique_ptr<Trainer> make_trainer(const ModelConfig& config, Purpose purpose, const Execution& execution,
                                      runtime::Stream& stream, runtime::Memory& memory, parallel::MeshGroups& groups);

/// What the layers of this trainer are given.
Context context_of(Trainer& trainer, double dropout = 0, uint64_t seed = 0);

/// Collective over dp; all ranks give equally many microbatches, all of equal shape, and at least one.
StepResult train_step(Trainer& trainer, std::span<const HostMicrobatch> microbatches, const UpdateOptions& options);

/// Loss of batches without gradients: call add_loss for each, then mean_loss once (collective over dp).
void reset_loss(Trainer& trainer);
void add_loss(Trainer& trainer, const HostMicrobatch& microbatch);
struct MeanLoss {
  double loss = 0;
  int64_t target_tokens = 0;
};
MeanLoss mean_loss(Trainer& trainer);

/// The memory that a run needs, by a dry step of the same code: microbatches of B sequences of T tokens.
runtime::MemoryPlan plan_training(const ModelConfig& config, const Execution& execution, int64_t B, int64_t T,
                                  const UpdateOptions& options, int dp);
runtime::MemoryPlan plan_evaluation(const ModelConfig& config, const Execution& execution, int64_t B, int64_t T,
                                    int dp);

}  // namespace trireme::model
