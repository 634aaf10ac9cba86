// A rank's chunks of the model as a stage of the pipeline: leases a slot for each microbatch, computes, and says which
// of the weight gradients are the last of the step.
#pragma once

#include <span>
#include <vector>

#include "model/trainer.h"

namespace trireme::model {

/// Where the time of a step went on this rank.
struct StepTimes {
  double forward_seconds = 0;
  double backward_seconds = 0;
  double reduce_seconds = 0;  ///< waiting for other ranks: between actions, and for the reduction after the last one
  double update_seconds = 0;
};

class TrainingStage : public parallel::PipelineStage {
 public:
  /// For the step's microbatches; with `training` false forwards add the loss themselves and there is no backward.
  TrainingStage(Trainer& trainer, std::span<const HostMicrobatch> microbatches, const UpdateOptions& options,
                bool training = true);

  runtime::View forward(int chunk, int microbatch, runtime::View input) override;
  void backward_input(int chunk, int microbatch, runtime::View d) override;
  void backward_weight(int chunk, int microbatch) override;
  void backward(int chunk, int microbatch, runtime::View d) override;
  void release(int chunk, int microbatch) override;

  /// Adds the times of the actions; the stream has been waited for. The number of marks set so far.
  size_t add_times(StepTimes& times) const;

 private:
  enum class Part { waiting, forward, backward };
  InFlight& find(int chunk, int microbatch);
  void begin_part();
  void end_part(Part part);
  StepObserver* observer() { return training_ ? trainer_.observer : nullptr; }
  void take_loss();
  runtime::View totals() { return trainer_.totals.rows(0, 2); }

  Trainer& trainer_;
  std::span<const HostMicrobatch> microbatches_;
  Context context_;
  bool training_;
  std::vector<size_t> input_passes_;   ///< of each chunk, done
  std::vector<size_t> weight_passes_;  ///< of each chunk, done
  std::vector<Part> parts_;            ///< behind each mark
};

}  // namespace trireme::model
