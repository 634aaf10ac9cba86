#include "runtime/ops/exact_sum_cpu.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "runtime/simd.h"

namespace trireme::runtime::cpu {
namespace {

constexpr int kWordBits = 32;
constexpr uint64_t kWordMask = (uint64_t{1} << kWordBits) - 1;
constexpr int64_t kValueWords = kExactSumWords - 1;
constexpr int64_t kNotFinite = kExactSumWords - 1;  // the word that counts such terms
constexpr int kMantissaBits = 53;
constexpr int kLowestExponent = -1074;  // of bit 0: the smallest double is 2^-1074

/// A double is mantissa * 2^(shift - 1074) with a mantissa of 53 bits, which reaches into three words at most. The
/// words hold 31 bits more than they need, so that no carry has to be done for 2^31 terms.
void add_term(int64_t* words, double term) {
  const auto bits = std::bit_cast<uint64_t>(term);
  const uint64_t exponent = bits >> 52 & 0x7ff;
  if (exponent == 0x7ff) {
    ++words[kNotFinite];
    return;
  }
  const uint64_t fraction = bits & ((uint64_t{1} << 52) - 1);
  const uint64_t mantissa = exponent == 0 ? fraction : fraction | uint64_t{1} << 52;
  const uint64_t shift = exponent == 0 ? 0 : exponent - 1;
  const uint64_t offset = shift % kWordBits;
  int64_t* word = words + shift / kWordBits;
  const std::array<uint64_t, 3> parts{mantissa << offset & kWordMask, mantissa >> (kWordBits - offset) & kWordMask,
                                      mantissa >> kWordBits >> (kWordBits - offset)};
  for (size_t i = 0; i < parts.size(); ++i) {
    const auto part = static_cast<int64_t>(parts[i]);
    word[i] += bits >> 63 == 0 ? part : -part;
  }
}

/// The same sum with all words but the highest in [0, 2^32): its sign is that of the highest.
void carry(int64_t* words) {
  for (int64_t i = 0; i + 1 < kValueWords; ++i) {
    words[i + 1] += words[i] >> kWordBits;
    words[i] &= static_cast<int64_t>(kWordMask);
  }
}

/// Bits [begin, begin + 64) of a sum that is not negative, or as many as there are.
uint64_t bits_from(const std::array<int64_t, kValueWords + 2>& words, int64_t begin) {
  const auto word = [&](int64_t i) { return static_cast<uint64_t>(words[static_cast<size_t>(i)]); };
  const int64_t first = begin / kWordBits;
  const auto offset = static_cast<uint64_t>(begin % kWordBits);
  return word(first) >> offset | word(first + 1) << (kWordBits - offset) |
         word(first + 2) << kWordBits << (kWordBits - offset);
}

/// Of a sum that is not negative and whose highest word is 0: the mantissa is its 53 highest bits, one more where what
/// lies below is more than half a unit, or half of one and the mantissa odd.
double rounded(const std::array<int64_t, kValueWords + 2>& words) {
  int64_t highest = kValueWords - 1;
  while (highest > 0 && words[static_cast<size_t>(highest)] == 0) --highest;
  const int64_t bits = highest * kWordBits + std::bit_width(static_cast<uint64_t>(words[static_cast<size_t>(highest)]));
  const int64_t below = std::max<int64_t>(0, bits - kMantissaBits);
  uint64_t mantissa = bits_from(words, below);
  if (below > 0) {
    const bool has_half = (bits_from(words, below - 1) & 1) != 0;
    const int64_t rest = below - 1;  // bits below the half
    const auto partial = static_cast<size_t>(rest / kWordBits);
    bool has_more = (static_cast<uint64_t>(words[partial]) & ((uint64_t{1} << rest % kWordBits) - 1)) != 0;
    for (size_t i = 0; i < partial; ++i) has_more = has_more || words[i] != 0;
    if (has_half && (has_more || (mantissa & 1) != 0)) ++mantissa;
  }
  return std::ldexp(static_cast<double>(mantissa), static_cast<int>(below) + kLowestExponent);
}

constexpr int64_t kLanes = 8;

/// In fp64, where squares of fp32 numbers are exact: a fused multiply-add gives the same bits as two operations do.
/// Lanes of our own, since those of a reduction depend on the processor.
TRIREME_SIMD double sum_of_squares(const float* x, int64_t n) {
  double lanes[kLanes] = {};
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
#pragma omp simd
    for (int64_t lane = 0; lane < kLanes; ++lane) {
      lanes[lane] += static_cast<double>(x[i + lane]) * static_cast<double>(x[i + lane]);
    }
  }
  for (int64_t lane = 0; i + lane < n; ++lane) lanes[lane] += static_cast<double>(x[i + lane]) * x[i + lane];
  return ((lanes[0] + lanes[1]) + (lanes[2] + lanes[3])) + ((lanes[4] + lanes[5]) + (lanes[6] + lanes[7]));
}

}  // namespace

void clear_exact_sum(View sum) {
  std::fill_n(sum.as<int64_t>(), kExactSumWords, 0);
}

void add_exactly(ConstView x, View sum) {
  for (int64_t i = 0; i < x.elements(); ++i) add_term(sum.as<int64_t>(), x.as<double>()[i]);
  carry(sum.as<int64_t>());
}

void add_squares_exactly(ConstView x, View sum) {
  constexpr int64_t kSums = 4096;  // kept on the stack: nothing allocates in a step
  double sums[kSums];
  const int64_t n = x.elements();
  const float* values = x.as<float>();
  for (int64_t part = 0; part < n; part += kSums * kSquaresBlock) {
    const int64_t blocks = std::min(kSums, (n - part + kSquaresBlock - 1) / kSquaresBlock);
#pragma omp parallel for schedule(static)
    for (int64_t block = 0; block < blocks; ++block) {
      const int64_t begin = part + block * kSquaresBlock;
      sums[block] = sum_of_squares(values + begin, std::min(kSquaresBlock, n - begin));
    }
    for (int64_t block = 0; block < blocks; ++block) add_term(sum.as<int64_t>(), sums[block]);
  }
  carry(sum.as<int64_t>());
}

void round_exact_sum(ConstView sum, View value) {
  const int64_t* from = sum.as<int64_t>();
  double& result = value.as<double>()[0];
  if (from[kNotFinite] != 0) {
    result = std::numeric_limits<double>::quiet_NaN();
    return;
  }
  std::array<int64_t, kValueWords + 2> words{};  // bits_from() looks at two words beyond
  std::copy_n(from, kValueWords, words.begin());
  carry(words.data());
  const bool is_negative = words[kValueWords - 1] < 0;
  if (is_negative) {
    for (int64_t& word : words) word = -word;
    carry(words.data());
  }
  // Beyond the highest double lies all of the highest word; ldexp finds the rest of what does.
  result = words[kValueWords - 1] != 0 ? std::numeric_limits<double>::infinity() : rounded(words);
  if (is_negative) result = -result;
}

}  // namespace trireme::runtime::cpu
