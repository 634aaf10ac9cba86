// What a rank holds to train or evaluate: its chunks of the model, their units in memory, what is in flight. Made once.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "model/execution.h"
#include "model/step_observer.h"
#include "model/transformer.h"
#include "parallel/mesh.h"
#include "parallel/pipeline.h"
#include "parallel/unit_shards.h"
#include "runtime/memory.h"
#include "runtime/ops/adamw.h"
#include "runtime/recording.h"
#include "runtime/time_marks.h"

namespace trireme::model {

/// A microbatch in host memory: tokens, targets (B*T), samples (B). Null pointers are fine on a dry stream. All ranks
/// of a pipeline and of tp give the same.
struct HostMicrobatch {
  int64_t B = 0;
  int64_t T = 0;
  const int32_t* tokens = nullptr;
  const int32_t* targets = nullptr;  ///< negative: no target
  const int64_t* samples = nullptr;
  /// Attention stays inside documents, and the two members below are given, (B*T) each; without, positions count from
  /// the beginning of a sequence, and a token sees all before it. The same for all microbatches of a run.
  bool has_documents = false;
  const int32_t* positions = nullptr;   ///< of a token in its document
  const int32_t* first_keys = nullptr;  ///< first place in the sequence that a token sees (runtime/ops/attention.h)
};

/// Copies a microbatch into its slot, with the positions of its tokens.
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
  int64_t update = 1;            ///< number of this update, from 1, for Adam's bias corrections
  runtime::UpdateLimits limits;  ///< a step above them makes no update
  bool operator==(const UpdateOptions&) const = default;
};

/// The actions of a step, as they are repeated. A microbatch always lies at the same place of the same slot.
struct StepRecordings {
  int64_t B = 0;  ///< of the microbatches that were recorded
  int64_t T = 0;
  bool has_documents = false;
  UpdateOptions options;  ///< that were recorded; what a step uploads (learning rate, update, limits) does not count
  runtime::Recording forward;
  runtime::Recording backward;
  runtime::Recording update;
};

/// A microbatch between its forward and the end of its last backward part.
struct InFlight {
  int microbatch = -1;  ///< -1: free
  std::optional<runtime::SlotRing::Lease> slot;
  TransformerSaved saved;
};

/// Loss and squares of the gradient of a reproducible step, summed over all ranks without rounding
/// (runtime/ops/exact_sum.h): (kExactSumWords) i64 each, absent in other steps. They lie behind each other in `both`.
struct ExactTotals {
  runtime::View both;
  runtime::View loss;
  runtime::View squares;
};

/// The pipeline's schedule on this rank, and the buffers that its messages go through.
struct PipelinePlan {
  parallel::ScheduleSpec spec;
  std::vector<parallel::Action> actions;
  parallel::PipelineBuffers buffers;
};

struct Trainer {
  const ModelConfig config;
  const Execution execution;
  runtime::Stream& stream;
  runtime::Memory& memory;
  parallel::MeshGroups& groups;
  std::vector<Unit> units;
  parallel::UnitMemory tied_head;  ///< StageUnits::tied_head
  parallel::UnitShards shards;
  std::vector<TransformerChunk> chunks;
  runtime::View rope_table;                      ///< (positions, D), absent without rope
  runtime::View totals;                          ///< (4) fp64: loss sum, target count, squares of the gradient, votes
  ExactTotals exact_totals;                      ///< the first and the third of them, until all ranks' are together
  runtime::View update_schedule;                 ///< (6) fp32: UpdateLimits and AdamWViews::schedule of the step;
                                                 ///< absent for inference
  std::vector<std::vector<InFlight>> in_flight;  ///< of each chunk, as many as it has slots
  PipelinePlan pipeline;
  StepRecordings recordings;
  runtime::TimeMarks marks;
  StepObserver* observer = nullptr;  ///< of training steps; outlives them
};

/// Places everything persistent in memory.persistent and clears it. Parameters are zero: initialize() them, or load the
/// masters and round_masters(), then shards.parameters_changed(). `memory` has the slots of this rank's chunks. Throws
/// Error(usage) when the axes of the mesh do not fit the model.
std::unique_ptr<Trainer> make_trainer(const ModelConfig& config, Purpose purpose, const Execution& execution,
                                      runtime::Stream& stream, runtime::Memory& memory, parallel::MeshGroups& groups);

/// The same with chunks of one's own choice in place of those that the cut gives this stage.
std::unique_ptr<Trainer> make_trainer(const ModelConfig& config, Purpose purpose, const Execution& execution,
                                      runtime::Stream& stream, runtime::Memory& memory, parallel::MeshGroups& groups,
                                      const std::vector<ChunkPlace>& places);

/// What the layers of this trainer are given.
Context context_of(Trainer& trainer, double dropout = 0, uint64_t seed = 0);

/// Throws Error(usage) with both numbers when tp does not divide the sequence length.
void check_sequence_length(int tp, int64_t T);

/// Buffers for the activations of microbatches of B sequences of T tokens, from memory.persistent: those that are not
/// there yet. Throws Error(internal) when there are others of another size.
void reserve_pipeline_buffers(Trainer& trainer, int64_t B, int64_t T, const parallel::BufferCounts& counts);

}  // namespace trireme::model
