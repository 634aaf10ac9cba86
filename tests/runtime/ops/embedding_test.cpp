#include "runtime/ops/embedding.h"

#include <algorithm>

#include "tests/reference/embedding.h"
#include "tests/reference/op_runs.h"

namespace trireme::runtime {
namespace {

using tests::kStorageTolerance;
using tests::poisoned;
using tests::relative_error;
using tests::same_bits;
using tests::Tensor;
using tests::to_double;

template <typename T>
class Embedding : public testing::Test {};
using Storages = testing::Types<float, bf16>;
TYPED_TEST_SUITE(Embedding, Storages);

template <typename T>
struct Case {
  Tensor<int32_t> tokens, positions;
  Tensor<T> token_table, position_table, y, dy;
  Tensor<float> dtoken_table, dposition_table;
  bool with_positions;

  Case(tests::Random& random, int64_t N, int64_t C, bool with_positions_, int64_t V = 11)
      : tokens(random.integers({N}, V)),
        positions(random.integers({N}, 5)),
        token_table(random.normals<T>({V, C})),
        position_table(random.normals<T>({5, C})),
        y(poisoned<T>({N, C})),
        dy(random.normals<T>({N, C})),
        dtoken_table(random.normals({V, C})),
        dposition_table(random.normals({5, C})),
        with_positions(with_positions_) {}

  EmbeddingForward forward() {
    return {.tokens = tokens.view(),
            .positions = with_positions ? ConstView(positions.view()) : ConstView(),
            .token_table = token_table.view(),
            .position_table = with_positions ? ConstView(position_table.view()) : ConstView(),
            .y = y.view()};
  }
  EmbeddingBackward backward() {
    return {.tokens = tokens.view(),
            .positions = with_positions ? ConstView(positions.view()) : ConstView(),
            .dy = dy.view(),
            .dtoken_table = dtoken_table.view(),
            .dposition_table = with_positions ? dposition_table.view() : View()};
  }
};

template <typename T>
void expect_matches_float64(Case<T> given) {
  const std::vector<double> expected_y =
      tests::naive_embedding(given.tokens.values, given.positions.values, to_double(given.token_table),
                             given.with_positions ? to_double(given.position_table) : std::vector<double>(),
                             static_cast<size_t>(given.y.shape[1]));
  std::vector<double> expected_tokens = to_double(given.dtoken_table);  // gradients accumulate
  std::vector<double> expected_positions = to_double(given.dposition_table);
  tests::naive_scatter_add(given.tokens.values, to_double(given.dy), expected_tokens);
  if (given.with_positions) tests::naive_scatter_add(given.positions.values, to_double(given.dy), expected_positions);
  Stream stream(tests::device());
  embedding_forward(stream, given.forward());
  embedding_backward(stream, given.backward(), tests::scratch());
  EXPECT_LE(relative_error(given.y, expected_y), kStorageTolerance<T>);
  // At most a few dozen additions to one element, in fp32 for either storage.
  EXPECT_LE(relative_error(given.dtoken_table, expected_tokens), kStorageTolerance<float>);
  EXPECT_LE(relative_error(given.dposition_table, expected_positions), kStorageTolerance<float>);
}

TYPED_TEST(Embedding, MatchesFloat64) {
  tests::Random random;
  for (const auto& [N, C] : {std::pair<int64_t, int64_t>{1, 1}, {1, 16}, {9, 33}, {200, 300}}) {
    for (const bool with_positions : {false, true}) {
      SCOPED_TRACE(testing::Message() << "N " << N << ", C " << C << ", positions " << with_positions);
      expect_matches_float64(Case<TypeParam>(random, N, C, with_positions));
    }
  }
}

TYPED_TEST(Embedding, BothEndsOfALargeVocabularyMatchFloat64) {
  tests::Random random;
  constexpr int64_t V = 50257;
  for (const bool with_positions : {false, true}) {
    Case<TypeParam> given(random, 7, 19, with_positions, V);
    given.tokens[2] = 0;
    given.tokens[5] = V - 1;
    expect_matches_float64(given);
  }
}

// One table is a copy, to the bit; the sum of two is rounded once.
TEST(EmbeddingStorage, Bf16ForwardIsFp32Rounded) {
  tests::Random random;
  for (const bool with_positions : {false, true}) {
    Case<bf16> given(random, 9, 33, with_positions);
    Stream stream(tests::device());
    embedding_forward(stream, given.forward());
    for (int64_t i = 0; i < given.y.size(); ++i) {
      const int64_t c = i % 33;
      const float token = given.token_table[given.tokens[i / 33] * 33 + c];
      const float position = with_positions ? given.position_table[given.positions[i / 33] * 33 + c] : bf16(0.0f);
      ASSERT_EQ(given.y[i].bits, bf16(token + position).bits) << i;
    }
  }
}

// The reference adds in fp32, one token after the other: on the CPU the order that the header promises, to the bit. On
// the GPU sums of pieces are added, the same in every run.
TYPED_TEST(Embedding, BackwardAddsInIndexOrderForAnyThreads) {
  tests::Random random;
  const int64_t C = 300;
  Case<TypeParam> given(random, 500, C, true);
  Tensor<float> expected = given.dtoken_table;
  for (int64_t i = 0; i < 500; ++i) {
    for (int64_t c = 0; c < C; ++c) expected[given.tokens[i] * C + c] += given.dy[i * C + c];
  }
  Tensor<float> first_positions({5, C});
  for (const int count : {1, 2, 3}) {
    const tests::Threads threads(count);
    Case<TypeParam> run = given;
    Stream stream(tests::device());
    embedding_backward(stream, run.backward(), tests::scratch());
    if (count == 1) {
      first_positions = run.dposition_table;
      EXPECT_LE(relative_error(run.dtoken_table, to_double(expected)), kStorageTolerance<float>);
      if (tests::device() == Device::cuda) expected = run.dtoken_table;
    }
    EXPECT_TRUE(same_bits(run.dtoken_table, expected)) << count << " threads";
    EXPECT_TRUE(same_bits(run.dposition_table, first_positions)) << count << " threads";
  }
}

// Four rows an id, so that on the GPU no sum crosses a piece: both devices add one row after the other, to the bit,
// wherever the four stand.
TYPED_TEST(Embedding, RowsOfRareIdsAddInIndexOrder) {
  tests::Random random;
  const int64_t N = 2400;
  for (const int64_t C : {5, 16}) {
    Case<TypeParam> given(random, N, C, false, N / 4);
    for (int64_t i = 0; i < N; ++i) given.tokens[i] = static_cast<int32_t>(i / 4);
    std::ranges::shuffle(given.tokens.values, random.engine());
    Tensor<float> expected = given.dtoken_table;
    for (int64_t i = 0; i < N * C; ++i) expected[given.tokens[i / C] * C + i % C] += given.dy[i];
    Stream stream(tests::device());
    embedding_backward(stream, given.backward(), tests::scratch());
    EXPECT_TRUE(same_bits(given.dtoken_table, expected)) << "C " << C;
  }
}

// The GPU sorts ids in tiles of 2,048, 8 bits a pass, and sums runs of one id in pieces of 32 rows.
TYPED_TEST(Embedding, SizesAroundPiecesAndTilesMatchFloat64) {
  tests::Random random;
  for (const int64_t N : {31, 32, 33, 63, 65, 256, 2047, 2048, 2049, 4100}) {
    SCOPED_TRACE(testing::Message() << "N " << N);
    expect_matches_float64(Case<TypeParam>(random, N, 8, true, N / 3 + 1));
  }
}

TYPED_TEST(Embedding, EveryByteOfAnIdCounts) {
  tests::Random random;
  for (const int64_t V : {1, 2, 256, 257, 65536, 65537, 200000}) {
    SCOPED_TRACE(testing::Message() << "V " << V);
    Case<TypeParam> given(random, 70, 3, false, V);
    given.tokens[0] = static_cast<int32_t>(V - 1);
    given.tokens[1] = 0;
    given.tokens[69] = static_cast<int32_t>(V - 1);
    // Ids that differ in one byte only.
    for (int64_t i = 2; i < 10; ++i) given.tokens[i] = static_cast<int32_t>((int64_t{1} << (2 * i)) % V);
    expect_matches_float64(given);
  }
}

// One id in nearly every row: its run is 282 pieces on the GPU, others stand before, in the midst and behind.
TYPED_TEST(Embedding, AFrequentIdMatchesFloat64) {
  tests::Random random;
  for (const int64_t C : {3, 8}) {
    Case<TypeParam> given(random, 9001, C, true);
    for (int64_t i = 0; i < 9001; ++i) {
      if (i % 1000 != 17) given.tokens[i] = 6;
    }
    expect_matches_float64(given);
  }
}

TYPED_TEST(Embedding, RowsBeyondAStripOfColumnsMatchFloat64) {
  tests::Random random;
  for (const int64_t C : {1023, 1032, 2056}) {
    SCOPED_TRACE(testing::Message() << "C " << C);
    expect_matches_float64(Case<TypeParam>(random, 40, C, true, 2));
  }
}

/// Gives each part of the vocabulary, cut at `cuts`, to a call of its own, as ranks of a group do, and compares with a
/// call that has it all. Positions come from the first part.
template <typename T>
void expect_parts_make_the_whole(const Case<T>& given, const std::vector<int64_t>& cuts) {
  const int64_t C = given.y.shape[1];
  Case<T> whole = given;
  Stream stream(tests::device());
  embedding_forward(stream, whole.forward());
  embedding_backward(stream, whole.backward(), tests::scratch());
  Case<T> parts = given;
  for (size_t part = 0; part + 1 < cuts.size(); ++part) {
    const int64_t begin = cuts[part];
    const int64_t end = cuts[part + 1];
    Case<T> run = given;
    run.with_positions = given.with_positions && part == 0;
    EmbeddingForward forward = run.forward();
    forward.token_table = run.token_table.view().rows(begin, end - begin);
    forward.vocabulary_begin = begin;
    EmbeddingBackward backward = run.backward();
    backward.dtoken_table = parts.dtoken_table.view().rows(begin, end - begin);
    backward.dposition_table = run.with_positions ? parts.dposition_table.view() : View();
    backward.vocabulary_begin = begin;
    embedding_forward(stream, forward);
    embedding_backward(stream, backward, tests::scratch());
    for (int64_t i = 0; i < run.y.size(); ++i) {
      const int32_t token = given.tokens[i / C];
      T expected = T(0.0f);
      if (run.with_positions) expected = given.position_table[given.positions[i / C] * C + i % C];
      if (token >= begin && token < end) {
        expected = run.with_positions == given.with_positions ? whole.y[i] : given.token_table[token * C + i % C];
      }
      ASSERT_EQ(static_cast<float>(run.y[i]), static_cast<float>(expected)) << "part " << part << ", element " << i;
    }
  }
  EXPECT_TRUE(same_bits(parts.dposition_table, whole.dposition_table));
  // On the GPU pieces of a run begin elsewhere when there are fewer ids before it.
  EXPECT_LE(relative_error(parts.dtoken_table, to_double(whole.dtoken_table)),
            tests::device() == Device::cuda ? kStorageTolerance<float> : 0);
}

TYPED_TEST(Embedding, PartsOfTheVocabularyMakeTheWhole) {
  tests::Random random;
  for (const auto& [N, C] : {std::pair<int64_t, int64_t>{1, 1}, {9, 33}, {70, 16}, {3000, 8}}) {
    for (const bool with_positions : {false, true}) {
      SCOPED_TRACE(testing::Message() << "N " << N << ", C " << C << ", positions " << with_positions);
      expect_parts_make_the_whole(Case<TypeParam>(random, N, C, with_positions, 11), {0, 4, 4, 5, 11, 11});
      expect_parts_make_the_whole(Case<TypeParam>(random, N, C, with_positions, 600), {0, 256, 512, 600, 600});
    }
  }
}

// Nothing but padding: every token lies outside, the gradient stays as it was.
TYPED_TEST(Embedding, ATableOfNoRowsAddsNothing) {
  tests::Random random;
  for (const bool with_positions : {false, true}) {
    Case<TypeParam> given(random, 40, 16, with_positions);
    const Tensor<float> before = given.dtoken_table;
    EmbeddingForward forward = given.forward();
    forward.token_table = ConstView{{nullptr, dtype_of<TypeParam>, {0, 16}}};
    forward.vocabulary_begin = 11;
    EmbeddingBackward backward = given.backward();
    backward.dtoken_table = View{{nullptr, DType::fp32, {0, 16}}};
    backward.vocabulary_begin = 11;
    Stream stream(tests::device());
    embedding_forward(stream, forward);
    embedding_backward(stream, backward, tests::scratch());
    for (int64_t i = 0; i < given.y.size(); ++i) {
      const float position = given.position_table[given.positions[i / 16] * 16 + i % 16];
      EXPECT_EQ(static_cast<float>(given.y[i]), with_positions ? position : 0);
    }
    EXPECT_TRUE(same_bits(given.dtoken_table, before));
  }
}

// Rows that are not aligned for vector accesses are added in the same order.
TYPED_TEST(Embedding, MisalignedRowsGiveTheSameBits) {
  tests::Random random;
  const int64_t N = 150;
  const int64_t C = 24;
  Case<TypeParam> aligned(random, N, C, true);
  Case<TypeParam> shifted = aligned;
  Tensor<TypeParam> dy({N * C + 1});
  Tensor<TypeParam> y = poisoned<TypeParam>({N * C + 1});
  std::ranges::copy(aligned.dy.values, dy.values.begin() + 1);
  EmbeddingForward forward = shifted.forward();
  forward.y = y.view().range(1, {N, C});
  EmbeddingBackward backward = shifted.backward();
  backward.dy = dy.view().range(1, {N, C});
  Stream stream(tests::device());
  embedding_forward(stream, aligned.forward());
  embedding_backward(stream, aligned.backward(), tests::scratch());
  embedding_forward(stream, forward);
  embedding_backward(stream, backward, tests::scratch());
  EXPECT_TRUE(std::isnan(static_cast<float>(y[0])));
  std::copy_n(y.values.begin() + 1, N * C, shifted.y.values.begin());
  EXPECT_TRUE(same_bits(shifted.y, aligned.y));
  EXPECT_TRUE(same_bits(shifted.dtoken_table, aligned.dtoken_table));
  EXPECT_TRUE(same_bits(shifted.dposition_table, aligned.dposition_table));
}

TYPED_TEST(Embedding, ForwardIsTheSameForAnyThreads) {
  tests::Random random;
  Case<TypeParam> one_thread(random, 50, 33, true);
  Case<TypeParam> two_threads = one_thread;
  Stream stream(tests::device());
  {
    const tests::Threads threads(1);
    embedding_forward(stream, one_thread.forward());
  }
  const tests::Threads threads(2);
  embedding_forward(stream, two_threads.forward());
  EXPECT_TRUE(same_bits(one_thread.y, two_threads.y));
}

TYPED_TEST(Embedding, NotFiniteInputsShow) {
  tests::Random random;
  Case<TypeParam> given(random, 9, 17, true);
  given.token_table[given.tokens[4] * 17 + 3] = NAN;
  given.dy[4 * 17 + 3] = INFINITY;
  Stream stream(tests::device());
  embedding_forward(stream, given.forward());
  embedding_backward(stream, given.backward(), tests::scratch());
  EXPECT_TRUE(std::isnan(given.y[4 * 17 + 3]));
  EXPECT_FALSE(std::isfinite(given.dtoken_table[given.tokens[4] * 17 + 3]));
  EXPECT_FALSE(std::isfinite(given.dposition_table[given.positions[4] * 17 + 3]));
}

TYPED_TEST(Embedding, DryCostsWhatCpuCosts) {
  tests::Random random;
  constexpr DType kStorage = dtype_of<TypeParam>;
  constexpr int64_t s = sizeof(TypeParam);
  const int64_t N = 9;
  const int64_t C = 17;
  for (const bool with_positions : {false, true}) {
    Stream cpu(tests::device());
    Stream dry(Device::dry);
    Case<TypeParam> given(random, N, C, with_positions);
    embedding_forward(cpu, given.forward());
    embedding_backward(cpu, given.backward(), tests::scratch());
    const View ids = tests::dry_view({N}, DType::i32);
    const View rows = tests::dry_view({N, C}, kStorage);
    embedding_forward(dry, {.tokens = ids,
                            .positions = ids,
                            .token_table = tests::dry_view({11, C}, kStorage),
                            .position_table = with_positions ? tests::dry_view({5, C}, kStorage) : View(),
                            .y = rows});
    embedding_backward(dry,
                       {.tokens = ids,
                        .positions = ids,
                        .dy = rows,
                        .dtoken_table = tests::dry_view({11, C}),
                        .dposition_table = with_positions ? tests::dry_view({5, C}) : View()},
                       tests::scratch());
    const int64_t t = with_positions ? 2 : 1;
    tests::expect_cost(cpu, dry,
                       {.op = "embedding_forward",
                        .flops = with_positions ? N * C : 0,
                        .bytes = with_positions ? 8 * N + 3 * s * N * C : 4 * N + 2 * s * N * C});
    tests::expect_cost(
        cpu, dry, {.op = "embedding_backward", .flops = t * N * C, .bytes = 4 * t * N + s * N * C + 8 * t * N * C});
  }
}

TEST(EmbeddingOperands, WrongOnesAreNamed) {
  tests::Random random;
  Case<float> given(random, 9, 17, true);
  Stream stream(tests::device());
  EmbeddingForward forward = given.forward();
  forward.position_table = given.position_table.view().reshaped({17, 5});
  EXPECT_EQ(tests::error_message([&] { embedding_forward(stream, forward); }),
            "embedding_forward: position_table is (17, 5) fp32, expected (17, 17) fp32");
  forward = given.forward();
  forward.positions = given.positions.view().rows(0, 8);
  EXPECT_EQ(tests::error_message([&] { embedding_forward(stream, forward); }),
            "embedding_forward: positions is (8) i32, expected (9) i32");
  EmbeddingBackward backward = given.backward();
  backward.dy = given.dy.view().rows(0, 8);
  EXPECT_EQ(tests::error_message([&] { embedding_backward(stream, backward, tests::scratch()); }),
            "embedding_backward: dy is (8, 17) fp32, expected (9, 17) fp32");
  Tensor<int64_t> wide({9});
  backward = given.backward();
  backward.tokens = wide.view();
  EXPECT_EQ(tests::error_message([&] { embedding_backward(stream, backward, tests::scratch()); }),
            "embedding_backward: tokens is (9) i64, expected (9) i32");
  // Tables are of one storage with y; their gradients are fp32 always.
  Tensor<bf16> narrow({17, 17});
  forward = given.forward();
  forward.position_table = narrow.view();
  EXPECT_EQ(tests::error_message([&] { embedding_forward(stream, forward); }),
            "embedding_forward: position_table is (17, 17) bf16, expected (17, 17) fp32");
  forward = given.forward();
  forward.token_table = narrow.view();
  EXPECT_EQ(tests::error_message([&] { embedding_forward(stream, forward); }),
            "embedding_forward: position_table is (5, 17) fp32, expected (5, 17) bf16");
  backward = given.backward();
  backward.dtoken_table = narrow.view();
  EXPECT_EQ(tests::error_message([&] { embedding_backward(stream, backward, tests::scratch()); }),
            "embedding_backward: dtoken_table is (17, 17) bf16, expected (17, 17) fp32");
}

}  // namespace
}  // namespace trireme::runtime
