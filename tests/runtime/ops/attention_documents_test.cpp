// The document mask of attention: several documents in a sequence, which must not see each other.
#include <algorithm>
#include <cstdint>
#include <type_traits>
#include <vector>

#include <gtest/gtest.h>

#include "tests/reference/attention.h"
#include "tests/reference/attention_runs.h"
#include "tests/reference/op_runs.h"

namespace trireme::runtime {
namespace {

using tests::AttentionResults;
using tests::Random;
using tests::random_dy;
using tests::random_qkv;
using tests::relative_error;
using tests::run_attention;
using tests::Tensor;

template <typename T>
class AttentionDocuments : public testing::Test {};
using Storages = testing::Types<float, bf16>;
TYPED_TEST_SUITE(AttentionDocuments, Storages);

/// One sequence: where its documents begin, the first at 0.
using Starts = std::vector<int32_t>;

/// (B*T): of each token the start of its document.
Tensor<int32_t> first_keys_of(int64_t T, const std::vector<Starts>& sequences) {
  Tensor<int32_t> first_keys({static_cast<int64_t>(sequences.size()) * T});
  int64_t token = 0;
  for (const Starts& starts : sequences) {
    for (int64_t t = 0; t < T; ++t) first_keys[token++] = *(std::upper_bound(starts.begin(), starts.end(), t) - 1);
  }
  return first_keys;
}

Starts every(int32_t length, int64_t T) {
  Starts starts;
  for (int32_t t = 0; t < T; t += length) starts.push_back(t);
  return starts;
}

struct Case {
  AttentionShape shape;
  std::vector<Starts> sequences;
};

/// Boundaries at the edges of tiles of 64, one off them and far from them, in the middle of vectors of 16; documents of
/// several tiles, of a few tokens, and of one token: first_keys is the own position.
std::vector<Case> cases() {
  return {
      {{.B = 1, .T = 1, .H = 1, .K = 1, .D = 8}, {{0}}},
      {{.B = 2, .T = 33, .H = 2, .K = 1, .D = 16}, {{0, 5, 17, 32}, {0}}},
      {{.B = 1, .T = 40, .H = 2, .K = 2, .D = 7}, {every(1, 40)}},
      {{.B = 1, .T = 130, .H = 2, .K = 1, .D = 64}, {{0, 64, 128}}},
      {{.B = 2, .T = 200, .H = 2, .K = 1, .D = 40}, {{0, 63, 65, 129}, {0, 1, 190}}},
      {{.B = 2, .T = 150, .H = 1, .K = 1, .D = 72}, {{0, 100}, every(11, 150)}},
      {{.B = 1, .T = 260, .H = 1, .K = 1, .D = 128}, {{0, 30, 127, 192, 193}}},
  };
}

TYPED_TEST(AttentionDocuments, MatchFloat64) {
  Random random;
  for (const auto& [shape, sequences] : cases()) {
    SCOPED_TRACE(tests::described(shape));
    const Tensor<TypeParam> qkv = random_qkv<TypeParam>(random, shape);
    const Tensor<TypeParam> dy = random_dy<TypeParam>(random, shape);
    const Tensor<int32_t> first_keys = first_keys_of(shape.T, sequences);
    const tests::AttentionReference expected =
        tests::attention_reference(shape, tests::to_double(qkv), tests::to_double(dy), first_keys.values);
    expect_matches(run_attention(shape, qkv, dy, first_keys.view()), expected);
  }
}

TYPED_TEST(AttentionDocuments, AllZerosAreTheSameAsNone) {
  Random random;
  for (const AttentionShape shape : {AttentionShape{.B = 2, .T = 130, .H = 4, .K = 2, .D = 40},
                                     AttentionShape{.B = 1, .T = 65, .H = 2, .K = 1, .D = 64}}) {
    SCOPED_TRACE(tests::described(shape));
    const Tensor<TypeParam> qkv = random_qkv<TypeParam>(random, shape);
    const Tensor<TypeParam> dy = random_dy<TypeParam>(random, shape);
    const Tensor<int32_t> zeros({shape.B * shape.T});
    expect_same_bits(run_attention(shape, qkv, dy, zeros.view()), run_attention(shape, qkv, dy));
  }
}

/// Other tiles, so the same sums in another order: about 1e-6 in fp32. In bf16 that now and then moves a value to its
/// neighbour, 2^-7 away at most, in y, and from there in the gradients: 2^-8 is a quarter of the values.
template <typename T>
constexpr double kReorderedTolerance = std::is_same_v<T, bf16> ? 0x1p-8 : 5e-6;

TYPED_TEST(AttentionDocuments, EachIsAttentionOfItsOwn) {
  Random random;
  const AttentionShape shape{.B = 1, .T = 200, .H = 2, .K = 1, .D = 40};
  const Starts starts = {0, 64, 65, 120};
  const Tensor<TypeParam> qkv = random_qkv<TypeParam>(random, shape);
  const Tensor<TypeParam> dy = random_dy<TypeParam>(random, shape);
  const AttentionResults<TypeParam> together = run_attention(shape, qkv, dy, first_keys_of(shape.T, {starts}).view());
  const auto rows = [](const Tensor<TypeParam>& tensor, int64_t begin, int64_t count) {
    const int64_t row = tensor.shape[1];
    Tensor<TypeParam> part({count, row});
    std::copy_n(&tensor[begin * row], count * row, &part[0]);
    return part;
  };
  for (size_t i = 0; i < starts.size(); ++i) {
    const int64_t begin = starts[i];
    const int64_t count = (i + 1 < starts.size() ? starts[i + 1] : shape.T) - begin;
    SCOPED_TRACE(begin);
    const AttentionShape own{.B = 1, .T = count, .H = shape.H, .K = shape.K, .D = shape.D};
    const AttentionResults<TypeParam> alone = run_attention(own, rows(qkv, begin, count), rows(dy, begin, count));
    EXPECT_LE(relative_error(rows(together.y, begin, count), tests::to_double(alone.y)),
              kReorderedTolerance<TypeParam>);
    EXPECT_LE(relative_error(rows(together.dqkv, begin, count), tests::to_double(alone.dqkv)),
              kReorderedTolerance<TypeParam>);
  }
}

TEST(AttentionDocumentsReference, OtherDocumentsDoNotMatter) {
  const AttentionShape shape{.B = 1, .T = 9, .H = 1, .K = 1, .D = 2};
  Random random;
  std::vector<double> qkv = tests::to_double(random_qkv<float>(random, shape));
  const std::vector<double> dy = tests::to_double(random_dy<float>(random, shape));
  const Tensor<int32_t> first_keys = first_keys_of(9, {{0, 4}});
  const tests::AttentionReference before = tests::attention_reference(shape, qkv, dy, first_keys.values);
  for (size_t i = 0; i < 4 * 6; ++i) qkv[i] += 1;  // the first document
  const tests::AttentionReference after = tests::attention_reference(shape, qkv, dy, first_keys.values);
  for (size_t i = 0; i < 9 * 2; ++i) EXPECT_EQ(before.y[i] == after.y[i], i >= 4 * 2) << i;
  for (size_t i = 4 * 6; i < 9 * 6; ++i) EXPECT_EQ(before.dqkv[i], after.dqkv[i]) << i;
}

}  // namespace
}  // namespace trireme::runtime
