// A stable sort of ids by radix: every id with its place in the input, in the order of (id, place). Least significant
// digit first, 8 bits a pass, as many passes as the largest id needs (Satish, Harris and Garland 2009, "Designing
// efficient sorting algorithms for manycore GPUs"). No atomic decides an order: the result is the same in every run.
#pragma once

#include <cstdint>
#include <utility>

#include "runtime/cuda/launch.cuh"
#include "runtime/cuda/reduce.cuh"
#include "runtime/cuda/sort_size.h"

namespace trireme::runtime::cuda {

inline constexpr int kDigitBits = 8;
inline constexpr unsigned kSortThreads = kSortDigits;  // a thread a digit, where digits are counted
inline constexpr unsigned kSortWarps = kSortThreads / kWarp;
inline constexpr int kSortRounds = kSortTile / kSortThreads;  // ids of a thread
static_assert(kSortDigits == 1 << kDigitBits && kSortTile % kSortThreads == 0);

/// The ids [begin, begin + count).
struct IdRange {
  int32_t begin;
  int32_t count;
};

/// The id counted from the range's begin; `count` when it lies outside.
__device__ __forceinline__ int32_t local_id(int32_t id, IdRange range) {
  const uint32_t distance = static_cast<uint32_t>(id) - static_cast<uint32_t>(range.begin);
  return distance < static_cast<uint32_t>(range.count) ? static_cast<int32_t>(distance) : range.count;
}

/// Ids and where each stood in the input.
struct PlacedIds {
  int32_t* ids;
  int32_t* places;
};

/// One pass: `from` in tiles, a block each, by the digit at bit `shift`. Without places in `from` they are 0 .. N - 1.
/// Ids become local ones of the range, which those of later passes are.
struct SortPass {
  const int32_t* ids;
  const int32_t* places;
  IdRange range;
  int64_t N;
  int shift;
  uint32_t* counts;  ///< (tiles, kSortDigits)
  PlacedIds to;
};

__device__ __forceinline__ unsigned digit_of(int32_t id, int shift) {
  return (static_cast<uint32_t>(id) >> shift) % unsigned{kSortDigits};
}

static __global__ void __launch_bounds__(kSortThreads) count_digits(SortPass pass) {
  __shared__ unsigned counts[kSortDigits];
  counts[threadIdx.x] = 0;
  __syncthreads();
  for (int64_t i = blockIdx.x * kSortTile + threadIdx.x; i < min(pass.N, (blockIdx.x + 1) * kSortTile);
       i += kSortThreads) {
    const int32_t id = local_id(pass.ids[i], pass.range);
    atomicAdd(&counts[digit_of(id, pass.shift)], 1u);  // whole numbers: any order gives the same
  }
  __syncthreads();
  pass.counts[int64_t{blockIdx.x} * kSortDigits + threadIdx.x] = counts[threadIdx.x];
}

/// Where this tile's first element of the thread's digit goes: behind all elements of smaller digits, and behind those
/// of the same digit in the tiles before. Every block reads all counts, 1 KiB a tile of 2,048 ids, from L2: less than a
/// launch for the scan would take, up to some 10^5 ids. All threads call, and meet at a barrier.
__device__ __forceinline__ uint32_t first_target(const uint32_t* counts, uint32_t* warp_totals) {
  uint32_t total = 0;
  uint32_t before = 0;
#pragma unroll 8
  for (unsigned tile = 0; tile < gridDim.x; ++tile) {
    const uint32_t count = counts[int64_t{tile} * kSortDigits + threadIdx.x];
    total += count;
    before += tile < blockIdx.x ? count : 0;
  }
  const unsigned lane = threadIdx.x % kWarp;
  const unsigned warp = threadIdx.x / kWarp;
  uint32_t inclusive = total;
  for (unsigned delta = 1; delta < kWarp; delta *= 2) {
    const uint32_t below = __shfl_up_sync(kAllLanes, inclusive, delta);
    if (lane >= delta) inclusive += below;
  }
  if (lane == kWarp - 1) warp_totals[warp] = inclusive;
  __syncthreads();
  uint32_t smaller = inclusive - total;
  for (unsigned w = 0; w < warp; ++w) smaller += warp_totals[w];
  return smaller + before;
}

/// The lanes of the warp whose digit is this lane's, among those that are valid.
__device__ __forceinline__ unsigned lanes_with_digit(unsigned digit, bool is_valid) {
  unsigned lanes = __ballot_sync(kAllLanes, is_valid);
#pragma unroll
  for (int bit = 0; bit < kDigitBits; ++bit) {
    const bool is_set = (digit >> bit) % 2 != 0;
    const unsigned set = __ballot_sync(kAllLanes, is_set);
    lanes &= is_set ? set : ~set;
  }
  return lanes;
}

/// Each warp takes kSortRounds * 32 consecutive elements, 32 a round. An element's rank among those of its digit is the
/// number before it in the tile: in earlier warps, in earlier rounds of its warp, in lower lanes of its round.
static __global__ void __launch_bounds__(kSortThreads) scatter_by_digit(SortPass pass) {
  __shared__ uint32_t targets[kSortWarps][kSortDigits];
  __shared__ uint32_t warp_totals[kSortWarps];
  const unsigned lane = threadIdx.x % kWarp;
  const unsigned warp = threadIdx.x / kWarp;
  for (unsigned w = 0; w < kSortWarps; ++w) targets[w][threadIdx.x] = 0;
  uint32_t target = first_target(pass.counts, warp_totals);  // its barrier is the zeros' too

  const int64_t first = blockIdx.x * kSortTile + int64_t{warp} * kWarp * kSortRounds + lane;
  int32_t ids[kSortRounds];
  uint32_t ranks[kSortRounds];
#pragma unroll
  for (int round = 0; round < kSortRounds; ++round) {
    const int64_t i = first + int64_t{round} * kWarp;
    ids[round] = i < pass.N ? local_id(pass.ids[i], pass.range) : 0;
  }
#pragma unroll
  for (int round = 0; round < kSortRounds; ++round) {
    const bool is_valid = first + int64_t{round} * kWarp < pass.N;
    const unsigned digit = digit_of(ids[round], pass.shift);
    const unsigned mates = lanes_with_digit(digit, is_valid);
    const unsigned below = static_cast<unsigned>(__popc(mates & ((1u << lane) - 1)));
    const uint32_t so_far = targets[warp][digit];
    __syncwarp();
    if (is_valid && below == 0) targets[warp][digit] = so_far + static_cast<unsigned>(__popc(mates));
    __syncwarp();
    ranks[round] = so_far + below;
  }
  __syncthreads();
  for (unsigned w = 0; w < kSortWarps; ++w) {
    const uint32_t count = targets[w][threadIdx.x];
    targets[w][threadIdx.x] = target;
    target += count;
  }
  __syncthreads();
#pragma unroll
  for (int round = 0; round < kSortRounds; ++round) {
    const int64_t i = first + int64_t{round} * kWarp;
    if (i >= pass.N) break;
    const uint32_t to = targets[warp][digit_of(ids[round], pass.shift)] + ranks[round];
    pass.to.ids[to] = ids[round];
    pass.to.places[to] = pass.places == nullptr ? static_cast<int32_t>(i) : pass.places[i];
  }
}

/// Sorts ids (N), 0 < N < 2^31, as local ids of the range: those outside stand last, as `range.count`. The result lies
/// in `scratch`, of sort_scratch_bytes(N).
inline PlacedIds sort_ids(CudaQueue& queue, const int32_t* ids, int64_t N, IdRange range, void* scratch) {
  auto* words = static_cast<int32_t*>(scratch);
  PlacedIds next{.ids = words, .places = words + N};
  PlacedIds after{.ids = words + 2 * N, .places = words + 3 * N};
  const Grid grid{.blocks = static_cast<unsigned>(sort_tiles(N)), .threads = kSortThreads};
  SortPass pass{.ids = ids,
                .places = nullptr,
                .range = range,
                .N = N,
                .shift = 0,
                .counts = reinterpret_cast<uint32_t*>(words + 4 * N),
                .to = next};
  while (true) {
    launch(queue, grid, count_digits, pass);
    launch(queue, grid, scatter_by_digit, pass);
    pass.shift += kDigitBits;
    if ((range.count >> pass.shift) == 0) return next;
    pass.range.begin = 0;
    pass.ids = next.ids;
    pass.places = next.places;
    pass.to = after;
    std::swap(next, after);
  }
}

}  // namespace trireme::runtime::cuda
