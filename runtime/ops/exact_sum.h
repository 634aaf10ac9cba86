// Sums without rounding: whoever adds the terms, in whatever order and in however many parts, gets the same bits. A sum
// is a row of whole numbers that together have a place for every bit of every double (the small superaccumulator of
// Neal 2015, arXiv:1505.05571). Adding is exact, so it may be done on many ranks, whose sums are added word by word
// (all_reduce of i64, 2^30 ranks at most); one rounding ends it. On the CPU so far.
#pragma once

#include <cstdint>

#include "runtime/stream.h"
#include "runtime/view.h"

namespace trireme::runtime {

/// Words of a sum, i64: word i below 67 counts units of 2^(32 i - 1074), the last one terms that were not finite.
constexpr int64_t kExactSumWords = 68;

/// Elements whose squares are added in fp64, in one order for all processors, before their sum is added exactly.
constexpr int64_t kSquaresBlock = 64;

/// sum (kExactSumWords) := 0. 0 flops, 544 bytes.
void clear_exact_sum(Stream& stream, View sum);

/// sum += each of x (n) fp64, exactly; 2^30 of them at most. 3 n flops, 8 n + 1,088 bytes.
void add_exactly(Stream& stream, ConstView x, View sum);

/// sum += the sums of squares of blocks of 64 elements of x (n) fp32, so that the result is the same for parts that are
/// cut between blocks; 2^36 elements at most. Squares are exact in fp64. 2 n flops, 4 n + 1,088 bytes.
void add_squares_exactly(Stream& stream, ConstView x, View sum);

/// value (1) fp64 := sum, rounded once, to nearest even; NaN when a term was not finite. 0 flops, 552 bytes.
void round_exact_sum(Stream& stream, ConstView sum, View value);

}  // namespace trireme::runtime
