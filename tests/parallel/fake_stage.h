// A stage of a pipeline whose chunks compute what anyone can check: every value that arrives, stays or is handed on is
// compared with the same arithmetic done serially, and what is released is spoiled at once.
#pragma once

#include <cstdint>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "parallel/pipeline.h"

namespace trireme::parallel {

/// All values of the model, in order of chunks of the whole pipeline; element i of an activation depends on i % 7.
class SerialModel {
 public:
  SerialModel(int chunks, int microbatches);

  /// What enters chunk `number`; number = chunks is what leaves the last one.
  float activation(int number, int microbatch, int64_t i) const;
  /// The gradient of that.
  float gradient(int number, int microbatch, int64_t i) const;

 private:
  static constexpr int64_t kPeriod = 7;
  size_t index(int number, int microbatch, int64_t i) const;

  int chunks_;
  int microbatches_;
  std::vector<float> activations_;
  std::vector<float> gradients_;
};

struct FakeStageOptions {
  int64_t elements = 1500;
  bool dry = false;
  /// Actions take up to this long, differently on every rank.
  int most_microseconds = 0;
  /// Throws std::runtime_error in this action, counted over all methods; -1: never.
  int fails_at = -1;
};

class FakeStage : public PipelineStage {
 public:
  /// `slots[c]` microbatches of chunk c at most are between their forward and their release.
  FakeStage(const ScheduleSpec& spec, std::vector<int> slots, MeshGroups& groups, const FakeStageOptions& options);

  runtime::View forward(int chunk, int microbatch, runtime::View input) override;
  void backward_input(int chunk, int microbatch, runtime::View d) override;
  void backward_weight(int chunk, int microbatch) override;
  void backward(int chunk, int microbatch, runtime::View d) override;
  void release(int chunk, int microbatch) override;

  /// Spoilt memory for messages.
  PipelineBuffers make_buffers(const BufferCounts& counts);
  int released() const { return released_; }
  bool empty() const { return in_flight_.empty(); }

 private:
  struct Slot {
    std::vector<float> output;
    runtime::View input;
    int microbatch = -1;
  };

  int number(int chunk) const { return chunk * spec_.stages + groups_.at.pp; }
  Slot& slot_of(int chunk, int microbatch);
  runtime::View view(std::vector<float>& values) const;
  void take_time();
  void check_kept(int chunk, int microbatch);

  ScheduleSpec spec_;
  MeshGroups& groups_;
  FakeStageOptions options_;
  SerialModel serial_;
  std::vector<std::vector<Slot>> slots_;
  std::set<std::pair<int, int>> in_flight_;
  std::vector<std::vector<float>> memory_;
  std::minstd_rand random_;
  int actions_ = 0;
  int released_ = 0;
};

}  // namespace trireme::parallel
