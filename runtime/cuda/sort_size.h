// The size of what sort_ids.cuh needs, for plans of memory in builds without CUDA.
#pragma once

#include <cstdint>

namespace trireme::runtime::cuda {

inline constexpr int64_t kSortDigits = 256;  ///< values of the 8 bits of a pass
inline constexpr int64_t kSortTile = 2048;   ///< ids that one block sorts in a pass

inline int64_t sort_tiles(int64_t N) {
  return (N + kSortTile - 1) / kSortTile;
}
/// Two copies of N ids with their places, and how often each digit occurs in each tile; all of 4 bytes.
inline int64_t sort_scratch_bytes(int64_t N) {
  return 4 * (4 * N + sort_tiles(N) * kSortDigits);
}

}  // namespace trireme::runtime::cuda
