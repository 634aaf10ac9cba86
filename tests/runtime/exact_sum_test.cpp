// Exact sums against whole numbers of 128 bits, and against themselves in other orders and parts.
#include "runtime/ops/exact_sum.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/error.h"
#include "runtime/threads.h"

namespace trireme::runtime {
namespace {

using Words = std::array<int64_t, kExactSumWords>;
__extension__ typedef __int128 Whole;

View view_of_words(Words& words) {
  return view_of(std::span<int64_t>(words), {kExactSumWords});
}

Words words_of(const std::vector<double>& terms) {
  Stream stream(Device::cpu);
  Words words;
  words.fill(-7);
  clear_exact_sum(stream, view_of_words(words));
  add_exactly(stream, view_of(std::span<const double>(terms), {static_cast<int64_t>(terms.size())}),
              view_of_words(words));
  return words;
}

double rounded(Words words) {
  Stream stream(Device::cpu);
  double value = -7;
  round_exact_sum(stream, view_of_words(words), view_of(std::span<double>(&value, 1), {1}));
  return value;
}

double exact_sum(const std::vector<double>& terms) {
  return rounded(words_of(terms));
}

double squares_of(const std::vector<float>& values, Words& words) {
  Stream stream(Device::cpu);
  add_squares_exactly(stream, view_of(std::span<const float>(values), {static_cast<int64_t>(values.size())}),
                      view_of_words(words));
  return rounded(words);
}

/// Any double that is finite: all exponents alike.
double any_double(std::mt19937_64& random) {
  for (;;) {
    const auto value = std::bit_cast<double>(random());
    if (std::isfinite(value)) return value;
  }
}

// Mantissas of 53 bits, shifted by up to 60, as multiples of a power of two: 10,000 of them fit 128 bits, whose
// conversion to double rounds to nearest even as well.
TEST(ExactSum, RoundsWholeNumbersAsTheyAre) {
  std::mt19937_64 random(1);
  for (const int scale : {-1074, -1073, -900, -500, -60, 0, 1, 31, 32, 33, 500, 855}) {
    for (const int spread : {0, 1, 30, 60}) {
      for (const int count : {1, 2, 3, 100, 10'000}) {
        Whole expected = 0;
        std::vector<double> terms;
        for (int i = 0; i < count; ++i) {
          const auto mantissa = static_cast<int64_t>(random() >> (11 + random() % 53));
          const int64_t signed_mantissa = random() % 2 == 0 ? mantissa : -mantissa;
          const int shift = spread == 0 ? 0 : static_cast<int>(random() % static_cast<uint64_t>(spread + 1));
          expected += static_cast<Whole>(signed_mantissa) * (Whole{1} << shift);
          terms.push_back(std::ldexp(static_cast<double>(signed_mantissa), shift + scale));
        }
        EXPECT_EQ(exact_sum(terms), std::ldexp(static_cast<double>(expected), scale))
            << "scale " << scale << ", spread " << spread << ", " << count << " terms";
      }
    }
  }
}

TEST(ExactSum, OfOneNumberIsThatNumber) {
  std::mt19937_64 random(2);
  for (int i = 0; i < 20'000; ++i) {
    const double value = any_double(random);
    EXPECT_EQ(exact_sum({value}), value);
  }
  for (const double value : {0.0, std::numeric_limits<double>::denorm_min(), std::numeric_limits<double>::min(),
                             std::numeric_limits<double>::max(), -std::numeric_limits<double>::max()}) {
    EXPECT_EQ(exact_sum({value}), value);
  }
}

TEST(ExactSum, HalvesGoToTheEvenNumber) {
  const double half = std::ldexp(1, -53);  // of the last place of 1
  const double least = std::numeric_limits<double>::denorm_min();
  EXPECT_EQ(exact_sum({1, half}), 1);
  EXPECT_EQ(exact_sum({1, half, least}), 1 + 2 * half);
  EXPECT_EQ(exact_sum({1, half, -least}), 1);
  EXPECT_EQ(exact_sum({1 + 2 * half, half}), 1 + 4 * half);
  EXPECT_EQ(exact_sum({1 + 2 * half, half, -least}), 1 + 2 * half);
  EXPECT_EQ(exact_sum({-1, -half, -least}), -1 - 2 * half);
  EXPECT_EQ(exact_sum({2 - 2 * half, half}), 2);  // the carry runs through the mantissa
}

TEST(ExactSum, WhatCancelsLeavesTheRest) {
  std::mt19937_64 random(3);
  for (int trial = 0; trial < 200; ++trial) {
    std::vector<double> terms;
    for (int i = 0; i < 50; ++i) terms.push_back(any_double(random));
    for (int i = 0; i < 50; ++i) terms.push_back(-terms[static_cast<size_t>(i)]);
    EXPECT_EQ(exact_sum(terms), 0);
    const double rest = any_double(random);
    terms.push_back(rest);
    std::ranges::shuffle(terms, random);
    EXPECT_EQ(exact_sum(terms), rest);
  }
  const double most = std::numeric_limits<double>::max();
  EXPECT_EQ(exact_sum({most, most, 3, -most, -most}), 3);  // no overflow on the way
}

// As ranks do it: parts are added word by word.
TEST(ExactSum, OrderAndPartsChangeNoBit) {
  std::mt19937_64 random(4);
  std::normal_distribution<double> normal;
  std::vector<double> terms;
  for (int i = 0; i < 5'000; ++i) terms.push_back(std::ldexp(normal(random), static_cast<int>(random() % 40)));
  const double expected = exact_sum(terms);
  double naive = 0;
  for (const double term : terms) naive += term;
  EXPECT_NE(naive, expected);  // else this test would show nothing
  for (int trial = 0; trial < 50; ++trial) {
    std::ranges::shuffle(terms, random);
    Words sum{};
    for (size_t begin = 0; begin < terms.size();) {
      const size_t end = std::min(terms.size(), begin + 1 + random() % 2'000);
      const Words part = words_of(
          {terms.begin() + static_cast<std::ptrdiff_t>(begin), terms.begin() + static_cast<std::ptrdiff_t>(end)});
      for (size_t word = 0; word < sum.size(); ++word) sum[word] += part[word];
      begin = end;
    }
    EXPECT_EQ(rounded(sum), expected);
  }
}

TEST(ExactSum, BeyondTheHighestDoubleLiesInfinity) {
  const double most = std::numeric_limits<double>::max();
  EXPECT_EQ(exact_sum({most, most}), std::numeric_limits<double>::infinity());
  EXPECT_EQ(exact_sum({-most, -most}), -std::numeric_limits<double>::infinity());
  EXPECT_EQ(exact_sum({most, std::ldexp(1, 969)}), most);  // less than half a place
  EXPECT_EQ(exact_sum({most, std::ldexp(1, 970)}), std::numeric_limits<double>::infinity());
  EXPECT_EQ(exact_sum(std::vector<double>(1'000, most)), std::numeric_limits<double>::infinity());
}

TEST(ExactSum, OneTermThatIsNotFiniteMakesNoNumber) {
  const double infinity = std::numeric_limits<double>::infinity();
  for (const double bad : {infinity, -infinity, std::numeric_limits<double>::quiet_NaN()}) {
    EXPECT_TRUE(std::isnan(exact_sum({1, bad, 2})));
  }
  EXPECT_TRUE(std::isnan(exact_sum({infinity, -infinity})));
  Words words{};
  EXPECT_TRUE(std::isnan(squares_of({1, std::numeric_limits<float>::infinity()}, words)));
}

TEST(ExactSum, SquaresOfWholeNumbersAreExact) {
  for (const int64_t n : {1, 7, 8, 63, 64, 65, 1'000, 300'000}) {
    std::vector<float> values(static_cast<size_t>(n));
    int64_t expected = 0;
    for (int64_t i = 0; i < n; ++i) {
      values[static_cast<size_t>(i)] = static_cast<float>(i % 2'001 - 1'000);
      expected += (i % 2'001 - 1'000) * (i % 2'001 - 1'000);
    }
    Words words{};
    EXPECT_EQ(squares_of(values, words), static_cast<double>(expected)) << n;
  }
}

TEST(ExactSum, SquaresOfPartsCutBetweenBlocksAreThoseOfTheWhole) {
  std::mt19937_64 random(5);
  std::normal_distribution<float> normal(0, 1e-3f);
  std::vector<float> values(64 * 9'000);
  for (float& value : values) value = normal(random);
  Words whole{};
  const double expected = squares_of(values, whole);
  for (const int threads : {1, 3}) {
    const int before = compute_threads();
    set_compute_threads(threads);
    for (const size_t parts : {2U, 3U, 8U, 9'000U}) {
      Words words{};
      double sum = 0;
      for (size_t part = 0; part < parts; ++part) {
        const auto at = [&](size_t index) {
          return values.begin() + static_cast<std::ptrdiff_t>(9'000 * index / parts * 64);
        };
        sum = squares_of({at(part), at(part + 1)}, words);
      }
      EXPECT_EQ(sum, expected) << parts << " parts, " << threads << " threads";
    }
    set_compute_threads(before);
  }
  const double naive = std::accumulate(values.begin(), values.end(), 0.0,
                                       [](double sum, float value) { return sum + double{value} * value; });
  EXPECT_NEAR(expected, naive, 1e-12 * naive);  // 576,000 additions in fp64, in another order
}

TEST(ExactSum, CostsWhatItSays) {
  Stream dry(Device::dry);
  const auto view = [](DType dtype, int64_t n) { return View{{nullptr, dtype, Shape{n}}}; };
  add_exactly(dry, view(DType::fp64, 10), view(DType::i64, kExactSumWords));
  add_squares_exactly(dry, view(DType::fp32, 1'000), view(DType::i64, kExactSumWords));
  const auto& costs = dry.costs().by_op();
  EXPECT_EQ(costs.at("add_exactly").flops, 30);
  EXPECT_EQ(costs.at("add_exactly").bytes, 80 + 1'088);
  EXPECT_EQ(costs.at("add_squares_exactly").flops, 2'000);
  EXPECT_EQ(costs.at("add_squares_exactly").bytes, 4'000 + 1'088);
}

TEST(ExactSum, RefusesOtherShapes) {
  Stream dry(Device::dry);
  const auto view = [](DType dtype, int64_t n) { return View{{nullptr, dtype, Shape{n}}}; };
  EXPECT_THROW(clear_exact_sum(dry, view(DType::i64, 67)), Error);
  EXPECT_THROW(add_exactly(dry, view(DType::fp32, 3), view(DType::i64, 68)), Error);
  EXPECT_THROW(add_squares_exactly(dry, view(DType::fp64, 3), view(DType::i64, 68)), Error);
  EXPECT_THROW(round_exact_sum(dry, view(DType::i64, 68), view(DType::fp64, 2)), Error);
}

}  // namespace
}  // namespace trireme::runtime
