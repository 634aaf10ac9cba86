// A small training state for tests of checkpoints: tensors with known bits everywhere, and ways to cut them into boxes
// as rows, columns, flat ranges (ZeRO) or whole tensors by turns.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/save.h"
#include "checkpoint/shard_writer.h"
#include "checkpoint/tensor_slice.h"

namespace trireme::tests {

enum class Cut { rows, columns, flat, owners };

/// The slices of one rank under a cut, with the memory behind them.
class RankState {
 public:
  RankState(Cut cut, int rank, int world_size);
  RankState(RankState&&) = default;

  /// Bits that depend on the tensor, the global place and `seed`: NaNs, infinities and denormals among them.
  void fill(uint32_t seed);
  /// What no fill() writes.
  void poison();
  /// Whether all is as fill(seed) left it, bit by bit.
  bool holds(uint32_t seed) const;

  std::vector<checkpoint::TensorSlice> slices;

 private:
  std::vector<std::vector<float>> memory_;
};

/// The bytes that views hold, a piece a slice.
class ViewBytes : public checkpoint::SliceBytes {
 public:
  explicit ViewBytes(std::span<const checkpoint::TensorSlice> slices) : slices_(slices) {}
  std::span<const std::byte> next() override {
    const runtime::View& data = slices_[next_++].data;
    return {static_cast<const std::byte*>(data.data), static_cast<size_t>(data.bytes())};
  }

 private:
  std::span<const checkpoint::TensorSlice> slices_;
  size_t next_ = 0;
};

/// Saves seed's state at `step` as `world_size` local ranks would; the state is {"step": step, "seed": seed}.
void save_sample(const std::string& checkpoints_directory, int64_t step, uint32_t seed, Cut cut = Cut::rows,
                 int world_size = 1);

/// The claim without which an attempt may not save, where there is none yet; any rank may make it.
void claim_sample(const std::string& checkpoints_directory, int64_t attempt = 1);

/// The request behind save_sample, with one rank's slices, of attempt 1, whose claim it makes.
checkpoint::SaveRequest sample_request(const std::string& checkpoints_directory, int64_t step, uint32_t seed,
                                       const RankState& rank_state);

/// Names of a directory's entries, sorted, but for claims of attempts.
std::vector<std::string> entries(const std::string& directory);

/// A manifest's text with a part replaced and the CRC at its end made right again: what another version would write.
std::string rewritten(std::string text, const std::string& part, const std::string& replacement);

void flip_bit(const std::string& path, int64_t bit);

}  // namespace trireme::tests
