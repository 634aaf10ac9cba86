#include "runtime/ops/attention_mma_cuda.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/ops/attention_mma_order.cuh"
#include "runtime/stream.h"
#include "tests/emulation/emulation.h"
#include "tests/reference/attention.h"
#include "tests/reference/attention_runs.h"
#include "tests/reference/thread_orders.h"

namespace trireme::runtime {
namespace {

using tests::kStorageTolerance;
using tests::poisoned;
using tests::Random;
using tests::relative_error;
using tests::Tensor;

struct Inputs {
  AttentionShape shape;
  Tensor<bf16> qkv;
  Tensor<bf16> dy;
  std::vector<int64_t> documents{};  ///< their lengths in each sequence, in order; empty: no mask
};

Inputs random_inputs(Random& random, const AttentionShape& shape, std::vector<int64_t> documents = {}) {
  return {shape, tests::random_qkv<bf16>(random, shape), tests::random_dy<bf16>(random, shape), std::move(documents)};
}

Tensor<int32_t> first_keys_of(const Inputs& inputs) {
  const auto [B, T, H, K, D] = inputs.shape;
  Tensor<int32_t> first_keys({B * T});
  for (int64_t b = 0; b < B; ++b) {
    int64_t begin = 0;
    for (const int64_t length : inputs.documents) {
      std::fill_n(&first_keys[b * T + begin], length, static_cast<int32_t>(begin));
      begin += length;
    }
    EXPECT_EQ(begin, T);
  }
  return first_keys;
}

using Results = tests::AttentionResults<bf16>;

/// The sum of dy * y over each row of each head, (B, H, T).
Tensor<float> delta_of(const AttentionShape& shape, const Tensor<bf16>& y, const Tensor<bf16>& dy) {
  const auto [B, T, H, K, D] = shape;
  Tensor<float> delta({B, H, T});
  for (int64_t b = 0; b < B; ++b) {
    for (int64_t h = 0; h < H; ++h) {
      for (int64_t t = 0; t < T; ++t) {
        const int64_t row = ((b * T + t) * H + h) * D;
        delta[(b * H + h) * T + t] = std::inner_product(&dy[row], &dy[row] + D, &y[row], 0.0f);
      }
    }
  }
  return delta;
}

Results run(const Inputs& inputs) {
  const auto [B, T, H, K, D] = inputs.shape;
  Stream stream(tests::device());
  Results results{poisoned<bf16>(inputs.dy.shape), poisoned({B, H, T}), poisoned<bf16>(inputs.qkv.shape)};
  const bool masks = !inputs.documents.empty();
  const Tensor<int32_t> first_keys = masks ? first_keys_of(inputs) : Tensor<int32_t>({1});
  const ConstView mask = masks ? first_keys.view() : ConstView{};
  cuda::attention_mma_forward(
      stream.queue(), inputs.shape,
      {.qkv = inputs.qkv.view(), .y = results.y.view(), .log_sum_exp = results.log_sum_exp.view(), .first_keys = mask});
  stream.wait();
  const Tensor<float> delta = delta_of(inputs.shape, results.y, inputs.dy);
  cuda::attention_mma_backward(stream.queue(), inputs.shape,
                               {.qkv = inputs.qkv.view(),
                                .y = results.y.view(),
                                .log_sum_exp = results.log_sum_exp.view(),
                                .dy = inputs.dy.view(),
                                .dqkv = results.dqkv.view(),
                                .first_keys = mask},
                               delta.view());
  stream.wait();
  return results;
}

tests::AttentionReference expected(const Inputs& inputs) {
  const bool masks = !inputs.documents.empty();
  const Tensor<int32_t> first_keys = masks ? first_keys_of(inputs) : Tensor<int32_t>({0});
  return tests::attention_reference(inputs.shape, tests::to_double(inputs.qkv), tests::to_double(inputs.dy),
                                    first_keys.values);
}

void expect_float64(const Inputs& inputs) {
  const auto [B, T, H, K, D] = inputs.shape;
  SCOPED_TRACE(tests::described(inputs.shape));
  const tests::AttentionReference wanted = expected(inputs);
  const Results results = run(inputs);
  expect_matches(results, wanted);
  // Each of the three parts: dv is much larger than dq and dk, whose errors must not hide behind it.
  const int64_t row = (H + 2 * K) * D;
  const auto part = [&](const auto& values, int64_t begin, int64_t end) {
    std::vector<double> columns;
    for (int64_t i = 0; i < B * T; ++i)
      for (int64_t c = begin; c < end; ++c)
        columns.push_back(static_cast<double>(values[static_cast<size_t>(i * row + c)]));
    return columns;
  };
  const int64_t ends[] = {0, H * D, (H + K) * D, row};
  for (int i = 0; i < 3; ++i) {
    const std::vector<double> actual = part(results.dqkv.values, ends[i], ends[i + 1]);
    const std::vector<double> want = part(wanted.dqkv, ends[i], ends[i + 1]);
    // P, dS and the result are each rounded to bf16, and y, of which delta is made: with T = 1 dq is all rounding.
    if (T > 1) {
      EXPECT_LE(relative_error(std::span<const double>(actual), want), kStorageTolerance<bf16>) << "part " << i;
    }
  }
}

/// Lengths within a fragment, of a tile, around one of 32, 64 and 128, and over several blocks.
class AttentionMma : public testing::TestWithParam<int64_t> {};
INSTANTIATE_TEST_SUITE_P(Widths, AttentionMma, testing::Values(64, 128),
                         [](const auto& width) { return "D" + std::to_string(width.param); });

TEST_P(AttentionMma, ForwardAndBackwardMatchFloat64) {
  Random random;
  const int64_t D = GetParam();
  for (const int64_t T : {1, 17, 64, 100, 129}) {
    expect_float64(random_inputs(random, {.B = 2, .T = T, .H = 1, .K = 1, .D = D}));
  }
  expect_float64(random_inputs(random, {.B = 1, .T = 200, .H = 2, .K = 2, .D = D}));
}

TEST_P(AttentionMma, GroupsShareKeysAndValues) {
  Random random;
  const int64_t D = GetParam();
  expect_float64(random_inputs(random, {.B = 2, .T = 33, .H = 4, .K = 2, .D = D}));
  expect_float64(random_inputs(random, {.B = 1, .T = 140, .H = 4, .K = 1, .D = D}));
}

TEST_P(AttentionMma, DocumentsAreAsIfAlone) {
  Random random;
  const int64_t D = GetParam();
  // Boundaries at the edges of tiles, next to them and within; documents of one token and of more than a block.
  expect_float64(random_inputs(random, {.B = 2, .T = 200, .H = 1, .K = 1, .D = D}, {64, 1, 63, 32, 40}));
  expect_float64(random_inputs(random, {.B = 1, .T = 290, .H = 2, .K = 1, .D = D}, {5, 130, 1, 1, 24, 129}));
  expect_float64(random_inputs(random, {.B = 1, .T = 40, .H = 1, .K = 1, .D = D}, std::vector<int64_t>(40, 1)));
  // A last tile of queries that is partly filled: what lies beyond the sequence must not open the first document.
  expect_float64(random_inputs(random, {.B = 1, .T = 80, .H = 1, .K = 1, .D = D}, {40, 40}));
}

// More tiles of queries than threads of a block count them.
TEST(AttentionMmaDocuments, ManyTilesOfQueries) {
  Random random;
  expect_float64(random_inputs(random, {.B = 1, .T = 4200, .H = 1, .K = 1, .D = 64}, std::vector<int64_t>(14, 300)));
}

TEST_P(AttentionMma, OneDocumentIsNoMask) {
  Random random;
  Inputs inputs = random_inputs(random, {.B = 1, .T = 150, .H = 2, .K = 1, .D = GetParam()});
  const Results without = run(inputs);
  inputs.documents = {150};
  const Results with = run(inputs);
  expect_same_bits(without, with);
}

TEST_P(AttentionMma, OrderOfThreadsDoesNotChangeABit) {
  Random random;
  const Inputs inputs = random_inputs(random, {.B = 1, .T = 150, .H = 2, .K = 1, .D = GetParam()}, {70, 80});
  tests::expect_same_bits_in_every_order([&] { return bits_of(run(inputs)); });
}

// Two of the forward pass, four of the backward pass.
TEST(AttentionMmaBarriers, EachIsNeeded) {
  Random random;
  const Inputs narrow = random_inputs(random, {.B = 1, .T = 150, .H = 2, .K = 1, .D = 64});
  const Inputs wide = random_inputs(random, {.B = 1, .T = 150, .H = 2, .K = 1, .D = 128});
  tests::expect_each_barrier_needed([&] { return bits_of(run(narrow)) + bits_of(run(wide)); }, 6);
}

// Sections of heads, the last of them smaller: every tile of every head is someone's work, the longest come first.
TEST(AttentionMmaOrder, EveryTileOfEveryHeadOnce) {
  for (const auto& [heads, section, tiles] : {std::array{7, 3, 5}, {1, 1, 1}, {8, 8, 2}, {4, 2, 1}, {5, 4, 3}}) {
    const cuda::mma::BlockOrder order{.heads = heads, .heads_in_section = section, .tiles = tiles};
    std::set<std::pair<int, int>> places;
    int turn_before = 0;
    int section_before = 0;
    for (int block = 0; block < static_cast<int>(order.blocks()); ++block) {
      const cuda::mma::BlockOrder::Place place = order.place(block);
      EXPECT_TRUE(place.head >= 0 && place.head < heads && place.turn >= 0 && place.turn < tiles);
      EXPECT_TRUE(places.emplace(place.head, place.turn).second);
      EXPECT_GE(place.head / section, section_before);
      if (place.head / section == section_before) {
        EXPECT_GE(place.turn, turn_before);
      }
      section_before = place.head / section;
      turn_before = place.turn;
    }
    EXPECT_EQ(places.size(), static_cast<size_t>(heads * tiles));
  }
}

TEST(AttentionMmaOrder, SectionsFitTheCacheAndKeepGroupsTogether) {
  EXPECT_EQ(cuda::mma::block_order(96, 8, 1, int64_t{1} << 20).heads_in_section, 32);
  EXPECT_EQ(cuda::mma::block_order(96, 8, 4, int64_t{16} << 20).heads_in_section, 8);
  EXPECT_EQ(cuda::mma::block_order(96, 8, 4, int64_t{1} << 30).heads_in_section, 4);
  EXPECT_EQ(cuda::mma::block_order(6, 8, 1, 1024).heads_in_section, 6);
}

TEST_P(AttentionMma, NoBankConflicts) {
  Random random;
  const Inputs inputs = random_inputs(random, {.B = 1, .T = 129, .H = 1, .K = 1, .D = GetParam()});
  emulation::reset_bank_conflicts();
  run(inputs);
  EXPECT_EQ(emulation::bank_conflicts(), 0);
}

// Scores of some hundreds: exp of them is infinite, only differences may be taken. Each query then sees one key.
TEST_P(AttentionMma, LargeScoresStayFinite) {
  Random random;
  Inputs inputs = random_inputs(random, {.B = 1, .T = 100, .H = 1, .K = 1, .D = GetParam()});
  for (bf16& value : inputs.qkv.values) value = 16 * static_cast<float>(value);
  const tests::AttentionReference wanted = expected(inputs);
  const Results results = run(inputs);
  EXPECT_LE(relative_error(results.y, wanted.y), kStorageTolerance<bf16>);
  EXPECT_LE(relative_error(results.log_sum_exp, wanted.log_sum_exp), kStorageTolerance<float>);
  EXPECT_TRUE(std::ranges::none_of(results.dqkv.values, [](bf16 x) { return std::isnan(static_cast<float>(x)); }));
}

TEST(AttentionMmaShapes, FitBf16OfTwoWidths) {
  const AttentionShape shape{.B = 1, .T = 3, .H = 2, .K = 1, .D = 64};
  const auto with_width = [&](int64_t D) {
    AttentionShape other = shape;
    other.D = D;
    return other;
  };
  EXPECT_TRUE(cuda::attention_mma_fits(shape, DType::bf16, {}));
  EXPECT_TRUE(cuda::attention_mma_fits(with_width(128), DType::bf16, {}));
  EXPECT_FALSE(cuda::attention_mma_fits(shape, DType::fp32, {}));
  EXPECT_FALSE(cuda::attention_mma_fits(with_width(80), DType::bf16, {}));
  AttentionShape endless = shape;
  endless.T = int64_t{1} << 31;
  EXPECT_FALSE(cuda::attention_mma_fits(endless, DType::bf16, {}));
  const Tensor<bf16> rows({16});
  EXPECT_TRUE(cuda::attention_mma_fits(shape, DType::bf16, {&rows[0], &rows[8]}));
  EXPECT_FALSE(cuda::attention_mma_fits(shape, DType::bf16, {&rows[0], &rows[4]}));
}

}  // namespace
}  // namespace trireme::runtime
