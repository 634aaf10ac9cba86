#include "runtime/ops/embedding_cuda.h"

#include <algorithm>
#include <type_traits>

#include "runtime/cuda/launch.cuh"
#include "runtime/cuda/reduce.cuh"
#include "runtime/cuda/sort_ids.cuh"
#include "runtime/cuda/vectors.cuh"
#include "runtime/ops/check.h"

namespace trireme::runtime::cuda {
namespace {

/// What one thread takes of a row at once: 16 bytes, or one element where rows are not aligned so.
template <typename T, bool kVectors>
struct Part {
  static constexpr int kWidth = kVectors ? kVectorElements<T> : 1;
  using Raw = std::conditional_t<kVectors, uint4, T>;

  static __device__ __forceinline__ Raw load_raw(const T* address) { return *reinterpret_cast<const Raw*>(address); }
  static __device__ __forceinline__ void store_raw(T* address, Raw raw) { *reinterpret_cast<Raw*>(address) = raw; }
  static __device__ __forceinline__ Vector<T> values(Raw raw) {
    if constexpr (kVectors) {
      return unpack(raw, T{});
    } else {
      return {{to_float(raw)}};
    }
  }
  static __device__ __forceinline__ void store_values(T* address, const Vector<T>& values) {
    if constexpr (kVectors) {
      store_vector(address, values);
    } else {
      store(address, values[0]);
    }
  }
};

/// The ids whose rows `table` holds.
IdRange id_range(int64_t first_id, const ConstView& table) {
  return {.begin = static_cast<int32_t>(first_id), .count = static_cast<int32_t>(table.shape[0])};
}

template <typename T>
struct Gather {
  const int32_t* tokens;
  const int32_t* positions;
  const T* token_table;
  const T* position_table;  ///< or null
  T* y;
  IdRange vocabulary;
  int64_t N;
  int64_t C;
};

constexpr unsigned kGatherRows = 8;  ///< of a block, a warp each
constexpr unsigned kGatherThreads = kGatherRows * kWarp;

template <typename T, bool kVectors>
__global__ void __launch_bounds__(kGatherThreads) gather_rows(Gather<T> args) {
  using P = Part<T, kVectors>;
  const int64_t i = int64_t{blockIdx.x} * kGatherRows + threadIdx.y;
  if (i >= args.N) return;
  const int32_t id = local_id(args.tokens[i], args.vocabulary);
  const T* token = id < args.vocabulary.count ? args.token_table + id * args.C : nullptr;
  const T* position = args.position_table == nullptr ? nullptr : args.position_table + args.positions[i] * args.C;
  T* y = args.y + i * args.C;
  constexpr int64_t kStride = int64_t{kWarp} * P::kWidth;
  if (token == nullptr || position == nullptr) {
    const T* row = token == nullptr ? position : token;
#pragma unroll 4
    for (int64_t c = threadIdx.x * P::kWidth; c < args.C; c += kStride) {
      P::store_raw(y + c, row == nullptr ? typename P::Raw{} : P::load_raw(row + c));
    }
    return;
  }
#pragma unroll 4
  for (int64_t c = threadIdx.x * P::kWidth; c < args.C; c += kStride) {
    Vector<T> sum = P::values(P::load_raw(token + c));
    const Vector<T> other = P::values(P::load_raw(position + c));
#pragma unroll
    for (int e = 0; e < P::kWidth; ++e) sum[e] += other[e];
    P::store_values(y + c, sum);
  }
}

/// table[id] += the rows dy[place] of each (id, place), which are in order of (id, place). Rows outside of the table
/// have the id V, and stand last.
template <typename T>
struct Runs {
  PlacedIds sorted;
  int32_t V;
  const T* dy;
  float* table;
  float* partials;  ///< (pieces, 2, C): of a run that comes from the piece before, of one that begins here and goes on
  int64_t N;
  int64_t C;
};

/// kWidth fp32 values; an array of 4 or 8 of them is 16-byte aligned.
template <int kWidth>
__device__ __forceinline__ void load_floats(const float* address, float (&values)[kWidth]) {
  if constexpr (kWidth == 1) {
    values[0] = *address;
  } else {
#pragma unroll
    for (int e = 0; e < kWidth; e += 4) {
      const Vector<float> four = load_vector(address + e);
#pragma unroll
      for (int k = 0; k < 4; ++k) values[e + k] = four[k];
    }
  }
}
template <int kWidth>
__device__ __forceinline__ void store_floats(float* address, const float (&values)[kWidth]) {
  if constexpr (kWidth == 1) {
    *address = values[0];
  } else {
#pragma unroll
    for (int e = 0; e < kWidth; e += 4) {
      store_vector(address + e, Vector<float>{{values[e], values[e + 1], values[e + 2], values[e + 3]}});
    }
  }
}

constexpr int32_t kNoId = -1;
constexpr int kPiece = kEmbeddingPiece;
constexpr int64_t kMostThreads = 256;
constexpr int kBatch = 4;  ///< rows that a thread has under way at once

/// A block a piece and strip of columns. A run that lies within the piece starts from the table's row, and is the same
/// sum as the CPU's; of a run that goes beyond it only a partial sum is kept. No other block touches these rows. For
/// rows outside of the table nothing is done.
template <typename T, bool kVectors>
__global__ void __launch_bounds__(kMostThreads) add_runs(Runs<T> runs) {
  using P = Part<T, kVectors>;
  constexpr int kWidth = P::kWidth;
  __shared__ int32_t ids[kPiece + 2];  // with one neighbour on each side
  __shared__ int32_t places[kPiece];
  const int64_t begin = int64_t{blockIdx.x} * kPiece;
  static_assert(kPiece <= kWarp);  // no thread meets two of the piece's ids
  bool is_counted = false;
  for (int t = static_cast<int>(threadIdx.x); t < kPiece + 2; t += static_cast<int>(blockDim.x)) {
    const int64_t i = begin + t - 1;
    ids[t] = i >= 0 && i < runs.N ? runs.sorted.ids[i] : kNoId;
    if (t == 0 || t > kPiece || i >= runs.N) continue;
    places[t - 1] = runs.sorted.places[i];
    is_counted = is_counted || ids[t] < runs.V;
  }
  const int count = __syncthreads_count(is_counted);
  if (count == 0) return;
  const int64_t column = (int64_t{blockIdx.y} * blockDim.x + threadIdx.x) * kWidth;
  if (column >= runs.C) return;
  const int32_t from_before = ids[0] == ids[1] ? ids[1] : kNoId;
  const int32_t goes_on = ids[count] == ids[count + 1] ? ids[count] : kNoId;
  float* partials = runs.partials + 2 * int64_t{blockIdx.x} * runs.C + column;
  float sum[kWidth] = {};
  for (int p = 0; p < count; p += kBatch) {
    typename P::Raw rows[kBatch];
    float starts[kBatch][kWidth] = {};
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      if (p + b >= count) break;
      rows[b] = P::load_raw(runs.dy + places[p + b] * runs.C + column);
      const int32_t id = ids[p + b + 1];
      const bool is_inner = id != from_before && id != goes_on;
      if (is_inner && ids[p + b] != id) load_floats(runs.table + id * runs.C + column, starts[b]);
    }
#pragma unroll
    for (int b = 0; b < kBatch; ++b) {
      if (p + b >= count) break;
      const int32_t id = ids[p + b + 1];
      const bool is_start = p + b == 0 || ids[p + b] != id;
      const Vector<T> row = P::values(rows[b]);
#pragma unroll
      for (int e = 0; e < kWidth; ++e) sum[e] = (is_start ? starts[b][e] : sum[e]) + row[e];
      if (p + b + 1 < count && ids[p + b + 2] == id) continue;
      store_floats(id == from_before ? partials
                   : id == goes_on   ? partials + runs.C
                                     : runs.table + id * runs.C + column,
                   sum);
    }
  }
}

constexpr unsigned kJoinGroups = 8;  ///< of a block, a warp each
constexpr int64_t kJoinThreads = int64_t{kJoinGroups} * kWarp;

/// A block a piece and strip of columns: where a run begins that goes on into further pieces, adds its partial sums to
/// the table. Group g takes the pieces g, g + 8, ... of the run, in order; the groups are added in order.
template <typename T, bool kVectors>
__global__ void __launch_bounds__(kJoinThreads) join_runs(Runs<T> runs) {
  constexpr int kWidth = kVectors ? 4 : 1;
  __shared__ float sums[kJoinGroups][kWidth][kWarp];
  const int32_t* ids = runs.sorted.ids;
  const int64_t piece = blockIdx.x;
  const int64_t begin = piece * kPiece;
  const int64_t end = begin + kPiece;
  if (end >= runs.N || ids[end] != ids[end - 1]) return;
  const int32_t id = ids[end];
  if (id == runs.V || (begin > 0 && ids[begin - 1] == id)) return;

  const int64_t thread = int64_t{threadIdx.y} * kWarp + threadIdx.x;
  int64_t parts = 1;  // pieces of the run: this one, and those whose first id is the same
  for (int64_t found = kJoinThreads; found == kJoinThreads; parts += found) {
    const int64_t first = (piece + parts + thread) * kPiece;
    found = __syncthreads_count(first < runs.N && ids[first] == id);
  }
  const int64_t column = (int64_t{blockIdx.y} * kWarp + threadIdx.x) * kWidth;
  const bool is_inside = column < runs.C;
  float sum[kWidth] = {};
  if (is_inside) {
#pragma unroll 4
    for (int64_t part = threadIdx.y; part < parts; part += kJoinGroups) {
      const int64_t slot = 2 * (piece + part) + (part == 0 ? 1 : 0);
      float values[kWidth];
      load_floats(runs.partials + slot * runs.C + column, values);
#pragma unroll
      for (int e = 0; e < kWidth; ++e) sum[e] += values[e];
    }
  }
#pragma unroll
  for (int e = 0; e < kWidth; ++e) sums[threadIdx.y][e][threadIdx.x] = sum[e];
  __syncthreads();
  if (threadIdx.y > 0 || !is_inside) return;
  float* row = runs.table + id * runs.C + column;
  load_floats(row, sum);
  for (unsigned group = 0; group < kJoinGroups; ++group) {
#pragma unroll
    for (int e = 0; e < kWidth; ++e) sum[e] += sums[group][e][threadIdx.x];
  }
  store_floats(row, sum);
}

template <typename T, bool kVectors>
void launch_runs(CudaQueue& queue, const Runs<T>& runs) {
  const unsigned pieces = blocks_for(runs.N, kPiece);
  const int64_t parts = blocks_for(runs.C, Part<T, kVectors>::kWidth);
  const unsigned strips = blocks_for(parts, kMostThreads);
  const unsigned warps = blocks_for(blocks_for(parts, strips), kWarp);
  launch(queue, {.blocks = dim3(pieces, strips), .threads = warps * kWarp}, add_runs<T, kVectors>, runs);
  const unsigned join_strips = blocks_for(runs.C, int64_t{kWarp} * (kVectors ? 4 : 1));
  launch(queue, {.blocks = dim3(pieces, join_strips), .threads = dim3(kWarp, kJoinGroups)}, join_runs<T, kVectors>,
         runs);
}

/// table[ids[i] - first_id] += dy[i], ids outside of the table left out.
void scatter_add(CudaQueue& queue, ConstView ids, int64_t first_id, ConstView dy, View table, View scratch) {
  const IdRange range = id_range(first_id, table);
  const int64_t N = dy.shape[0];
  const int64_t C = dy.shape[1];
  auto* partials = static_cast<std::byte*>(scratch.data);
  void* for_sort = partials + embedding_partial_bytes(N, C);
  const PlacedIds sorted = sort_ids(queue, ids.as<int32_t>(), N, range, for_sort);
  with_storage(dy.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Runs<T> runs{.sorted = sorted,
                       .V = range.count,
                       .dy = dy.as<T>(),
                       .table = table.as<float>(),
                       .partials = reinterpret_cast<float*>(partials),
                       .N = N,
                       .C = C};
    if (fits_vectors<T>(C, runs.dy, runs.table, runs.partials)) {
      launch_runs<T, true>(queue, runs);
    } else {
      launch_runs<T, false>(queue, runs);
    }
  });
}

}  // namespace

void embedding_forward(CudaQueue& queue, const EmbeddingForward& args) {
  const bool with_positions = !args.position_table.absent();
  with_storage(args.y.dtype, [&](auto zero) {
    using T = decltype(zero);
    const Gather<T> gather{.tokens = args.tokens.as<int32_t>(),
                           .positions = with_positions ? args.positions.as<int32_t>() : nullptr,
                           .token_table = args.token_table.as<T>(),
                           .position_table = with_positions ? args.position_table.as<T>() : nullptr,
                           .y = args.y.as<T>(),
                           .vocabulary = id_range(args.vocabulary_begin, args.token_table),
                           .N = args.y.shape[0],
                           .C = args.y.shape[1]};
    const Grid grid{.blocks = blocks_for(gather.N, kGatherRows), .threads = dim3(kWarp, kGatherRows)};
    const bool in_vectors = fits_vectors<T>(gather.C, gather.token_table, gather.position_table, gather.y);
    launch(queue, grid, in_vectors ? gather_rows<T, true> : gather_rows<T, false>, gather);
  });
}

void embedding_backward(CudaQueue& queue, const EmbeddingBackward& args, View scratch) {
  if (args.dy.shape[0] == 0) return;
  scatter_add(queue, args.tokens, args.vocabulary_begin, args.dy, args.dtoken_table, scratch);
  if (!args.dposition_table.absent()) scatter_add(queue, args.positions, 0, args.dy, args.dposition_table, scratch);
}

}  // namespace trireme::runtime::cuda
