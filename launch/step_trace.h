// train --trace: records some steps of a run on every rank and has them written as one file. It knows when to begin and
// to end, how much memory that takes and whom to hook; what is recorded is runtime/trace.h's, what becomes of it
// trace_file.h's.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "model/trainer.h"
#include "runtime/clock_offset.h"
#include "runtime/communicator.h"
#include "runtime/files.h"
#include "runtime/trace.h"

namespace trireme::launch {

struct StepTraceOptions {
  std::string file;
  int64_t steps = 10;  ///< to record
  int64_t skip = 1;    ///< before them; 1 or more: these show how many events a step has
  /// Of a rank's events. Where a step has so many that the steps do not fit, fewer are recorded, and of a single one
  /// that does not fit its first events of each kind. Both are said.
  int64_t most_bytes = int64_t{64} << 20;
};

class StepTrace : public model::StepObserver {
 public:
  /// All of them outlive this. `world` holds all ranks of the trainer's groups.
  StepTrace(const StepTraceOptions& options, runtime::Files& files, runtime::Communicator& world,
            model::Trainer& trainer);
  ~StepTrace() override;
  StepTrace(const StepTrace&) = delete;
  StepTrace& operator=(const StepTrace&) = delete;

  /// Around every step of this start. Collective where recording begins, and before the step behind the last one, when
  /// the file is written: what happens between two steps (a save, a validation) belongs to the first.
  void begin_step(int64_t step);
  void end_step();
  /// No step follows. Collective; writes what there is, unless it is written.
  void finish();

  /// For spans of the caller's; null while nothing is recorded.
  runtime::Trace* trace() { return trace_ ? &*trace_ : nullptr; }

  void begin(const model::StepPart& part) override;
  void end(const model::StepPart& part) override;

 private:
  /// Of this rank, so far.
  struct EventCounts {
    int64_t ops = 0;
    int64_t calls = 0;
  };
  EventCounts counts() const;
  runtime::TraceRoom room_of(int64_t steps) const;
  void start(int64_t step);
  void hook(runtime::Trace* trace);

  StepTraceOptions options_;
  runtime::Files& files_;
  runtime::Communicator& world_;
  model::Trainer& trainer_;
  EventCounts before_;
  EventCounts of_a_step_;
  int64_t skipped_ = 0;
  int64_t first_step_ = 0;
  int64_t steps_ = 0;  ///< that there is room for
  int64_t recorded_ = 0;
  bool is_over_ = false;
  std::optional<runtime::Trace> trace_;
  runtime::ClockReading clock_before_;
  int64_t step_span_ = runtime::Trace::kNone;
  int64_t part_span_ = runtime::Trace::kNone;
};

}  // namespace trireme::launch
