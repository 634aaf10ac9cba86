// Works off the actions of one stage of a pipeline: receives what an action needs, has the stage compute, sends the
// result on. Knows schedules, messages and buffers of activations; no layers. Receives are posted ahead: one of each
// direction is always in flight while there are any left.
#pragma once

#include <span>
#include <vector>

#include "parallel/mesh.h"
#include "parallel/schedule.h"
#include "runtime/view.h"

namespace trireme::parallel {

/// One rank's part of a model. Activations between chunks are views of one shape and dtype. `backward` is
/// backward_input and backward_weight in one.
class PipelineStage {
 public:
  virtual ~PipelineStage() = default;

  /// The output of the chunk for the input of a microbatch. `input` is absent in the first chunk of the model, stays
  /// readable until release(), and is not written. The result is absent from the last chunk; it stays until release().
  virtual runtime::View forward(int chunk, int microbatch, runtime::View input) = 0;
  /// d := gradient of the input, from the gradient of the output; the last chunk of the model overwrites what it finds
  /// in d, the first may leave anything there. backward_weight follows later, and no longer finds d.
  virtual void backward_input(int chunk, int microbatch, runtime::View d) = 0;
  virtual void backward_weight(int chunk, int microbatch) = 0;
  virtual void backward(int chunk, int microbatch, runtime::View d) = 0;
  /// Nothing of this microbatch is needed any more: what its forward kept may go.
  virtual void release(int chunk, int microbatch) = 0;
};

/// Views for activations and their gradients that go from stage to stage, as many as buffer_counts() says. All
/// have the shape and dtype of what forward() returns.
struct PipelineBuffers {
  std::vector<runtime::View> inputs;
  std::vector<runtime::View> gradients;
};

struct BufferCounts {
  int inputs = 0;     ///< received activations in use at a time, and the one posted ahead
  int gradients = 0;  ///< one arriving, one in work, one on its way; of a stage that does not send or receive, one less
  bool operator==(const BufferCounts&) const = default;
};

/// What run_pipeline() of a stage's actions and run_pipeline_forward() need; without actions the latter alone. Throws
/// Error(usage) naming --virtual-stages for several chunks in a pipeline of one stage.
BufferCounts buffer_counts(const ScheduleSpec& spec, int stage, const std::vector<Action>& actions);

/// Runs `actions` (of stage groups.at.pp of `spec`) to the end, all messages included. Collective over the pipeline. A
/// stage sends |activation| bytes for each output that another one needs, and as many for each gradient. Outputs are
/// waited for before their release(), a gradient before the next one is sent. Messages carry no label: the schedules
/// of two neighbours must agree on their order.
void run_pipeline(const ScheduleSpec& spec, std::span<const Action> actions, PipelineStage& stage, MeshGroups& groups,
                  PipelineBuffers& buffers);

/// Only the forward of one microbatch through all chunks of the pipeline, released at once: for evaluation. Collective
/// over the pipeline; the same microbatch on all its stages.
void run_pipeline_forward(int chunks, int microbatch, PipelineStage& stage, MeshGroups& groups,
                          PipelineBuffers& buffers);

}  // namespace trireme::parallel
