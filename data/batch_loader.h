// Data sets as microbatches of token windows. Which sample comes when depends on nothing but the order's options and
// the global sample index, so the only state of a run is the number of samples consumed, and any number of ranks sees
// the same sequence. Rank, ranks and seed are plain numbers here; meshes are unknown.
#pragma once

#include <array>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "data/token_dataset.h"
#include "data/training_samples.h"

namespace trireme::data {

/// B windows of T tokens. targets[b*T + t] is the token after tokens[b*T + t], or -1 where there is nothing to predict.
struct Microbatch {
  std::vector<int32_t> tokens;   ///< (B*T)
  std::vector<int32_t> targets;  ///< (B*T)
  std::vector<int64_t> samples;  ///< (B) global sample index; -1 for a row of padding
  /// With a document mask (document_mask.h), else empty: (B*T) each. The targets then are -1 at a document's end too.
  std::vector<int32_t> positions{};
  std::vector<int32_t> first_keys{};
};

struct LoaderOptions {
  int64_t sequence_length = 0;
  int64_t global_batch_size = 0;  ///< sequences of all ranks in a step
  int64_t microbatch_size = 0;    ///< sequences
  int rank = 0;
  int ranks = 1;
  OrderOptions order{};
  int64_t first_sample = 0;  ///< samples consumed before
  bool document_mask = false;
};

/// The training splits in their order (training_samples.h), without end. Step s is global samples
/// [first_sample + s*G, first_sample + (s+1)*G); a rank has the rank-th contiguous share of G/ranks, cut into
/// microbatches in order. A side thread reads ahead into the other half of a double buffer; it ends with the object.
class TrainingLoader {
 public:
  /// A batch that does not divide, or a split shorter than one sequence and its last target, is Error(internal): the
  /// caller has checked what the user gave. Sets that do not go together are Error(usage), see TrainingSamples.
  /// `datasets` must outlive the loader.
  TrainingLoader(std::span<const TokenDataset> datasets, const LoaderOptions& options);
  ~TrainingLoader();
  TrainingLoader(const TrainingLoader&) = delete;
  TrainingLoader& operator=(const TrainingLoader&) = delete;

  /// The microbatches of this rank's next step, valid until the next call. Throws what the side thread met while
  /// reading them; then every later call throws it too.
  const std::vector<Microbatch>& next();

  /// Time that next() spent waiting for the disk, in all.
  double waited_seconds() const { return waited_seconds_; }

 private:
  void prefetch();
  void fill(std::vector<Microbatch>& step, int64_t first_sample);

  LoaderOptions options_;
  TrainingSamples samples_;      // of the side thread
  std::vector<int32_t> window_;  // T + 1 tokens, of the side thread
  double waited_seconds_ = 0;

  // Step s is in steps_[s % 2]; the side thread may write steps [given_, given_ + 2) less the one that is on loan.
  std::array<std::vector<Microbatch>, 2> steps_;
  std::mutex mutex_;  // over what follows
  std::condition_variable changed_;
  int64_t filled_ = 0;    // steps read
  int64_t given_ = 0;     // steps handed out by next()
  int64_t returned_ = 0;  // steps whose loan is over
  bool is_stopping_ = false;
  std::exception_ptr failure_;
  std::thread thread_;  // last: it starts when all else is there
};

/// Of a validation pass.
struct ValidationOptions {
  int64_t sequence_length = 0;
  int64_t microbatch_size = 0;  ///< sequences
  int rank = 0;
  int ranks = 1;
  bool document_mask = false;
};

/// Whole splits once, one after the other, in order; of each every token but the first is a target exactly once (with a
/// document mask: but the first of each document). The last window of a split is padded with token 0 and target -1, and
/// so are rows, until all ranks have the same number of batches of the same shape.
class ValidationLoader {
 public:
  /// A split of fewer than two tokens is Error(data). `datasets`, at least one, must outlive the loader.
  ValidationLoader(std::span<const TokenDataset> datasets, const ValidationOptions& options);

  /// Fills `batch` (sample = number of the window, counted through all splits); false at the end.
  bool next(Microbatch& batch);
  /// Back to the first batch.
  void rewind() { batch_ = 0; }
  /// The same on all ranks.
  int64_t batches() const { return batches_; }

 private:
  void fill_row(Microbatch& batch, int64_t row, int64_t window) const;

  std::span<const TokenDataset> datasets_;
  ValidationOptions options_;
  std::vector<int64_t> begins_ = {0};  // of each split, and the end: windows
  int64_t batches_ = 0;
  int64_t batch_ = 0;
};

}  // namespace trireme::data
