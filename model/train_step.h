// One training step over one global batch: forward and backward of each microbatch in the order of the pipeline's
// schedule, reduction over dp, clipping, update. The same code runs on the CPU, on a GPU and dry, which is how the
// memory plan is made. It knows neither files nor options nor where tokens come from.
#pragma once

#include <functional>
#include <span>

#include "model/trainer.h"
#include "model/training_stage.h"

namespace trireme::model {

struct StepResult {
  double loss = 0;       ///< mean over the target tokens of the global batch
  double grad_norm = 0;  ///< of the gradient of that mean, before clipping
  int64_t target_tokens = 0;
  int64_t votes = 0;  ///< of all ranks, added up
  runtime::UpdateVerdict verdict = runtime::UpdateVerdict::made;
  StepTimes times;

  /// False: no rank made the update, since loss or gradient was not finite or above UpdateOptions::limits.
  bool updated() const { return verdict == runtime::UpdateVerdict::made; }
};

/// Collective over the mesh; the result is the same on every rank, bit for bit. The ranks of a pipeline and of tp give
/// the same microbatches, all ranks equally many, all of equal shape, and at least one. Throws Error(usage) with both
/// numbers when the schedule asks for more of them. `vote` is whatever the caller wants to know of all ranks: whole
/// numbers of 0 to 2^53 together, added up in the sum that the step makes anyway, and changing nothing. It is asked for
/// once, as late as can be: after the last backward pass, before that sum.
StepResult train_step(Trainer& trainer, std::span<const HostMicrobatch> microbatches, const UpdateOptions& options,
                      const std::function<int64_t()>& vote = nullptr);

/// Loss of batches without gradients: call add_loss for each, then mean_loss once. Collective over the mesh; the
/// microbatches are as in train_step.
void reset_loss(Trainer& trainer);
void add_loss(Trainer& trainer, const HostMicrobatch& microbatch);
struct MeanLoss {
  double loss = 0;
  int64_t target_tokens = 0;
};
MeanLoss mean_loss(Trainer& trainer);

/// What a rank does in one step: `microbatches` of B sequences of T tokens.
struct StepShape {
  int64_t B = 0;
  int64_t T = 0;
  int64_t microbatches = 1;
  bool has_documents = false;  ///< of HostMicrobatch
};

/// The schedule of steps of so many microbatches.
parallel::ScheduleSpec schedule_of(const Execution& execution, const parallel::Mesh& mesh, int64_t microbatches);

/// The actions and buffers of steps of this shape, which train_step() makes where they are not there; buffers that are
/// there stay.
void prepare_pipeline(Trainer& trainer, const StepShape& shape);

/// The memory that `rank` of the mesh needs, by a dry step of the same code. Throws Error(usage) when mesh, schedule,
/// model and shape do not fit each other.
runtime::MemoryPlan plan_training(const ModelConfig& config, const Execution& execution, const parallel::Mesh& mesh,
                                  const StepShape& shape, const UpdateOptions& options, int rank = 0);
/// To evaluate microbatches of this shape on dp ranks, each with the whole model.
runtime::MemoryPlan plan_evaluation(const ModelConfig& config, const Execution& execution, const StepShape& shape,
                                    int dp);

/// The number of slots of each chunk of a stage: the schedule's peaks in flight.
std::vector<int64_t> slot_counts(const Execution& execution, const parallel::Mesh& mesh, int64_t microbatches,
                                 int stage);

}  // namespace trireme::model
