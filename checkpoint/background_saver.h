// Saves behind training: begin() copies a step's slices and returns, a thread of this rank writes them while training
// goes on, and the ranks learn that all are done from one number more in a reduction that every step makes anyway. The
// thread touches files only, no communicator and no device. What is written, and in which order: save_steps.h.
#pragma once

#include <cstdint>
#include <future>
#include <optional>
#include <string>

#include "checkpoint/save_request.h"
#include "checkpoint/save_steps.h"
#include "checkpoint/snapshot.h"
#include "runtime/communicator.h"
#include "runtime/files.h"
#include "runtime/stopwatch.h"
#include "runtime/stream.h"

namespace trireme::checkpoint {

class BackgroundSaver {
 public:
  /// `snapshot_bytes`: host memory for copies, taken now. With as much as the slices of a save have, training never
  /// waits for the disk; with less it waits while what does not fit is written. Snapshot::kSmallestBytes at least.
  BackgroundSaver(runtime::Files& files, runtime::Communicator& world, runtime::Stream& stream, int64_t snapshot_bytes);
  /// Waits until the thread has done what it is at. A save that did not end is debris for the next sweep.
  ~BackgroundSaver();
  BackgroundSaver(const BackgroundSaver&) = delete;
  BackgroundSaver& operator=(const BackgroundSaver&) = delete;

  /// Collective; nothing is in flight. When it returns the slices may change. What fails is told by the end. The first
  /// rank makes the step's directory before it returns, and removes what earlier saves and starts may have left.
  void begin(SaveRequest request);
  bool in_flight() const { return steps_.in_flight(); }

  /// 1 when this rank has nothing left to do before the ranks meet again, else 0. To be added up over all ranks.
  int64_t vote() const;
  /// Collective: `votes` is that sum. Where all ranks are ready they go on together; otherwise nothing happens. The end
  /// of the save once it has ended.
  std::optional<SaveEnd> advance(int64_t votes);
  /// Collective. Waits for the end of what is in flight.
  SaveEnd finish();

 private:
  /// Begins this rank's part of the phase in a thread; its outcome is for the next meeting.
  void start_part();
  std::optional<SaveEnd> meet();

  runtime::Communicator& world_;
  runtime::Stream& stream_;
  Snapshot snapshot_;
  SaveSteps steps_;
  runtime::Stopwatch since_begin_;
  double busy_seconds_ = 0;        ///< the slowest rank's, of each phase that is over
  double part_seconds_ = 0;        ///< this rank's in this phase; written by the thread
  std::future<std::string> part_;  ///< not valid: this rank has nothing to do in this phase
};

}  // namespace trireme::checkpoint
