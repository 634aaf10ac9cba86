// A small training state for tests of checkpoints: tensors with known bits everywhere, and ways to cut them into boxes
// as rows, columns, flat ranges (ZeRO) or whole tensors by turns.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "checkpoint/save.h"
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

/// Saves seed's state at `step` as `world_size` local ranks would; the state is {"step": step, "seed": seed}.
void save_sample(const std::string& checkpoints_directory, int64_t step, uint32_t seed, Cut cut = Cut::rows,
                 int world_size = 1);

/// The request behind save_sample, with one rank's slices.
checkpoint::SaveRequest sample_request(const std::string& checkpoints_directory, int64_t step, uint32_t seed,
                                       const RankState& rank_state);

/// Names of a directory's entries, sorted.
std::vector<std::string> entries(const std::string& directory);

/// A manifest's text with a part replaced and the CRC at its end made right again: what another version would write.
std::string rewritten(std::string text, const std::string& part, const std::string& replacement);

void flip_bit(const std::string& path, int64_t bit);

}  // namespace trireme::tests
