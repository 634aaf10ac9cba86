// In which order the blocks of attention's tensor-core kernels take their work. Knows nothing of what the work is.
#pragma once

#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>

namespace trireme::runtime::cuda::mma {

/// Blocks take tiles of heads in this order: sections of heads whose streamed rows fit the L2 cache together, one
/// section after the other; in a section the longest tile of every head, then the next one of every head, and so on, so
/// that the short ones fill the gaps at the end.
struct BlockOrder {
  int heads = 0;  ///< over all sequences
  int heads_in_section = 0;
  int tiles = 0;  ///< of a head

  struct Place {
    int head;
    int turn;  ///< 0: the longest tile of the head
  };
  __device__ __forceinline__ Place place(int block) const {
    const int first = block / (heads_in_section * tiles) * heads_in_section;
    const int rest = block - first * tiles;
    const int heads_here = min(heads_in_section, heads - first);
    return {first + rest % heads_here, rest / heads_here};
  }
  unsigned blocks() const { return static_cast<unsigned>(heads) * static_cast<unsigned>(tiles); }
};

/// `heads_together` neighbouring heads stream the same `bytes`.
inline BlockOrder block_order(int64_t heads, int64_t tiles, int64_t heads_together, int64_t bytes) {
  constexpr int64_t kCacheBytes = int64_t{32} << 20;  // of the 50 to 60 MB of an H100 or H200
  const int64_t section = std::max<int64_t>(1, kCacheBytes / bytes) * heads_together;
  return {static_cast<int>(heads), static_cast<int>(std::min(section, heads)), static_cast<int>(tiles)};
}

}  // namespace trireme::runtime::cuda::mma
