// What a training run counts, under the names that Prometheus reads (prefix trireme_). Rank 0 fills it with the reduced
// values; text() is the page that will be served over HTTP. It does not know who asks, nor how values are measured.
// Thread-safe: the checkpoint writer and the HTTP thread may call while training goes on.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

namespace trireme::runtime {

struct BuildInfo {
  std::string version;
  std::string commit;
};

/// One finished optimizer step of the whole world.
struct StepMetrics {
  double loss = 0;
  double grad_norm = 0;
  double learning_rate = 0;
  double step_seconds = 0;
  int64_t samples = 0;
  int64_t tokens = 0;
  double model_flops = 0;
};

/// How long ranks were busy in a step, waiting for messages left out.
struct BusyMetrics {
  int64_t busiest_rank = 0;
  double busy_seconds = 0;  ///< of that rank
  double least_busy_seconds = 0;
  int64_t slow_rank = -1;  ///< that is named; -1: none is
  double slow_by = 0;      ///< times the others' time, of that rank; 0: none is
};

class TrainingMetrics {
 public:
  explicit TrainingMetrics(const BuildInfo& build);
  ~TrainingMetrics();
  TrainingMetrics(const TrainingMetrics&) = delete;
  TrainingMetrics& operator=(const TrainingMetrics&) = delete;

  /// Of all ranks together; from the next step on the share of it is told as mfu_ratio. Not known: never called, and
  /// neither has a series.
  void set_peak_flops(double flops_per_second);
  /// The ranks that train.
  void set_ranks(int64_t healthy);
  /// Also sets the time of the last step to now.
  void record_step(const StepMetrics& step);
  void record_busy_ranks(const BusyMetrics& busy);
  /// The update was not made; reason: nonfinite, outlier. Comes with the step's record_step.
  void record_skipped_step(const std::string& reason);
  void record_validation(double loss);
  /// phase: data, forward, backward, comm, optimizer, checkpoint, eval
  void add_phase_seconds(const std::string& phase, double seconds);
  void add_data_wait_seconds(double seconds);
  /// phase: snapshot, write, commit, load
  void record_checkpoint_phase(const std::string& phase, double seconds);
  /// result: success, failure
  void record_checkpoint(const std::string& result);
  /// The newest complete one: bytes on disk of all ranks, Unix time of its commit.
  void set_newest_checkpoint(int64_t size_bytes, double unix_seconds);
  /// Totals since start of one op (all_reduce, ...), as a communicator counts them; backend: local, mpi; axis: dp, ...
  void set_comm_totals(const std::string& op, const std::string& backend, const std::string& axis, int64_t calls,
                       int64_t bytes);
  /// From the start of each call to its end (CommTotal::seconds), computation in between included.
  void set_comm_seconds(const std::string& op, const std::string& backend, const std::string& axis, double seconds);

  /// Everything in Prometheus' text format, this process's memory, processor time and open files included.
  std::string text();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trireme::runtime
