// What each sample of a run is: a window of one of its data sets. It joins the mixture of sets with the order inside
// each, and knows neither batches nor ranks; the loader reads what it names, and `trireme data show` prints it.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "data/mixture.h"
#include "data/sample_order.h"
#include "data/token_dataset.h"

namespace trireme::data {

struct OrderOptions {
  uint64_t seed = 0;
  Shuffle::Kind shuffle = Shuffle::Kind::full;
  std::vector<double> weights{};  ///< of the data sets; empty: their numbers of windows
};

/// A blocked shuffle reads blocks of 32 MiB of tokens, and has 2 GiB of them in a group.
inline constexpr int64_t kShuffleBlockBytes = int64_t{32} << 20;
inline constexpr int64_t kShuffleGroupBlocks = 64;

/// Throws Error(usage) naming both directories where two sets were prepared with different tokenizers.
void check_same_tokenizer(std::span<const TokenDataset> datasets);

class TrainingSamples {
 public:
  /// Training splits, at least one, each of at least one window of T + 1 tokens; they must outlive this. Throws
  /// Error(usage) for different tokenizers, and for a set that is too small a part of the mixture.
  TrainingSamples(std::span<const TokenDataset> datasets, int64_t sequence_length, const OrderOptions& options);

  struct Place {
    uint32_t source = 0;  ///< number of the data set
    int64_t window = 0;   ///< its tokens [window * T, window * T + T), with targets one later
  };
  /// Of global sample `sample`, in [0, 2^48). O(1), but a mixture keeps what it found last (mixture.h).
  Place at(int64_t sample);

  const TokenDataset& dataset(uint32_t source) const { return datasets_[source]; }
  int64_t sequence_length() const { return sequence_length_; }

 private:
  std::span<const TokenDataset> datasets_;
  int64_t sequence_length_;
  OrderOptions options_;
  std::vector<int64_t> windows_;  // of each set
  std::vector<Shuffle> shuffles_;
  Mixture mixture_;
};

}  // namespace trireme::data
