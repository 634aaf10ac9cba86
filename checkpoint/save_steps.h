// One rank's side of a save, from one meeting of the ranks to the next: each does the part of its phase and tells the
// others its outcome; with all outcomes, the same on every rank, they go on together or end together. Knows no
// communicator and no thread: `background_saver` runs the parts behind training, and a test runs those of several ranks
// through every failure. What the parts do: save_parts.h.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/agreement.h"
#include "checkpoint/save_request.h"
#include "checkpoint/shard_writer.h"
#include "runtime/error.h"
#include "runtime/files.h"

namespace trireme::checkpoint {

/// How a save ended, the same on every rank.
struct SaveEnd {
  int64_t step = 0;
  /// Nothing: committed and durable. Else what save() throws (save.h).
  std::optional<runtime::Error> failure;
  bool is_committed = false;  ///< also when it failed: committed, but may not survive a power loss
  double seconds = 0;         ///< from begin() to here, on this rank (BackgroundSaver)
  double busy_seconds = 0;    ///< of these, what the slowest rank of each phase worked, without waiting for meetings
};

class SaveSteps {
 public:
  /// `files` must outlive it.
  SaveSteps(runtime::Files& files, int rank) : files_(files), rank_(rank) {}

  void begin(SaveRequest request);
  bool in_flight() const { return phase_ != Phase::idle; }
  const SaveRequest& request() const { return request_; }

  /// What this rank does in this phase; empty: nothing. `bytes` are those of the request's slices, taken only by the
  /// part for which takes_bytes() holds. It touches files, may take long, throws what the disk does to it, and may run
  /// in another thread while nothing else is called here.
  std::function<std::string()> part(SliceBytes& bytes);
  bool takes_bytes() const { return phase_ == Phase::writing && !shard_name_.empty(); }

  /// All ranks' outcomes of this phase (agreement.h), in rank order. The end of the save once there is nothing more to
  /// do.
  std::optional<SaveEnd> meet(std::span<const std::string> outcomes);

 private:
  enum class Phase { idle, preparing, writing, committing, abandoning };

  std::string prepare() const;
  std::string commit();
  std::string abandon() const;
  std::optional<SaveEnd> fail(const Failure& failure, size_t ranks);
  SaveEnd end(std::optional<runtime::Error> failure, bool is_committed);
  bool is_first() const { return rank_ == 0; }

  runtime::Files& files_;
  int rank_;
  Phase phase_ = Phase::idle;
  SaveRequest request_;
  std::string shard_name_;
  std::vector<std::string> reports_;
  std::optional<Failure> failure_;  ///< while it is abandoned
  std::set<int64_t> good_;          ///< steps that this process saved; of the first rank
};

}  // namespace trireme::checkpoint
