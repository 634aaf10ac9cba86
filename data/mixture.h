// Several data sets with weights as one sequence of samples: which of them each sample comes from, and which of that
// set's own samples it is. It knows weights, not what a sample is. Nothing is drawn: the order is a function of seed,
// weights and sample index, so a run resumes at any sample and any number of ranks sees the same.
#pragma once

#include <cstdint>
#include <vector>

namespace trireme::data {

class Mixture {
 public:
  static constexpr int64_t kBlockSamples = 65536;
  static constexpr int64_t kMostSamples = int64_t{1} << 48;
  /// The least part of the whole that a weight may be: two samples of a block, so that counts never have to fall.
  static constexpr double kLeastPart = 2.0 / kBlockSamples;

  /// Weights above 0, of any scale, one for each source. A part of the whole below kLeastPart is Error(usage). Parts
  /// are held in units of 2^-32.
  Mixture(const std::vector<double>& weights, uint64_t seed);

  struct Pick {
    uint32_t source = 0;
    int64_t sample = 0;  ///< of the source, each of which is picked once and in order
  };
  /// Of global sample `sample`, in [0, kMostSamples). O(1): the last block of samples that was asked for is kept.
  Pick pick(int64_t sample);

  /// How many samples of each source the first `blocks` blocks have: the share of the weight, rounded up or down by the
  /// method of largest remainders, so that it is off by less than one sample after every block.
  std::vector<int64_t> counts_after(int64_t blocks) const;

 private:
  void enter_block(int64_t block);

  struct Place {
    uint32_t source = 0;
    uint32_t rank = 0;  ///< among the source's samples of the block
  };

  uint64_t seed_;
  std::vector<uint64_t> parts_;  // of 2^32, which they add up to
  int64_t block_ = -1;           // that the rest is of
  std::vector<int64_t> begins_;  // of each source: samples before the block
  std::vector<Place> places_;    // of the block's samples
};

}  // namespace trireme::data
