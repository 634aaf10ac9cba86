// Small ops on whole tensors: cast, fill, add, sums for the norm, initial weights, and the two ways across the border
// to the host.
#pragma once

#include <cstdint>
#include <span>

#include "runtime/arena.h"
#include "runtime/stream.h"
#include "runtime/view.h"

namespace trireme::runtime {

/// y = x, between fp32 and bf16 (rounded to nearest even) or within one of them. 0 flops, |x| + |y| bytes.
void cast(Stream& stream, ConstView x, View y);

/// y = value; bf16, fp32 or fp64. 0 flops, |y| bytes.
void fill(Stream& stream, View y, double value);

/// y = a + b, equal shapes of one storage (fp32 or bf16, s bytes); y may be either. n flops, 3 s n bytes.
void add(Stream& stream, ConstView a, ConstView b, View y);

/// total (1) fp64 += sum of squares of x (n) fp32: sums of fixed blocks of 4,096 elements, of which 64 are added in
/// order to the sum of a group, and the groups in order to the total. So the result does not depend on the thread
/// count, and calls over parts cut between groups (at multiples of 262,144 elements) give the same bits as one. Squares
/// are taken in fp64: not finite exactly when x is not. 2 n flops, 4 n + 16 bytes.
void add_sum_of_squares(Stream& stream, ConstView x, View total, Arena& scratch);

/// y (n) fp32 = standard_deviation * N(0, 1), a pure function of (seed, name_hash, begin + index): Philox and
/// Box-Muller, so that any split of a tensor gives the same elements. 4 n flops, 4 n bytes.
struct NormalSource {
  uint64_t seed = 0;
  uint64_t name_hash = 0;
  float standard_deviation = 1;
};
void fill_normal(Stream& stream, const NormalSource& source, int64_t begin, View y);

/// The only place where a step may branch on data: waits for the stream and copies values (n) fp64 to the host. A dry
/// stream answers 1.0. 0 flops, 16 n bytes.
void read_scalars(Stream& stream, ConstView values, std::span<double> host);

/// Copies between host memory of the caller and a view of the same size; a dry stream does nothing. 2 |view| bytes.
void copy_from_host(Stream& stream, std::span<const std::byte> host, View view);
void copy_to_host(Stream& stream, ConstView view, std::span<std::byte> host);

}  // namespace trireme::runtime
