#include "runtime/ops/embedding.h"

#include <algorithm>

#include "tests/reference/embedding.h"
#include "tests/reference/op_runs.h"

namespace trireme::runtime {
namespace {

using tests::poisoned;
using tests::relative_error;
using tests::same_bits;
using tests::Tensor;
using tests::to_double;

// One addition in forward, at most a few dozen to one element in backward, each erring by 6e-8.
constexpr double kTolerance = 1e-5;

struct Case {
  Tensor<int32_t> tokens, positions;
  Tensor<float> token_table, position_table, y, dy, dtoken_table, dposition_table;
  bool with_positions;

  Case(tests::Random& random, int64_t N, int64_t C, bool with_positions_)
      : tokens(random.integers({N}, 11)),
        positions(random.integers({N}, 5)),
        token_table(random.normals({11, C})),
        position_table(random.normals({5, C})),
        y(poisoned({N, C})),
        dy(random.normals({N, C})),
        dtoken_table(random.normals({11, C})),
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

TEST(Embedding, MatchesFloat64) {
  tests::Random random;
  for (const auto& [N, C] : {std::pair<int64_t, int64_t>{1, 1}, {1, 16}, {9, 33}, {200, 300}}) {
    for (const bool with_positions : {false, true}) {
      SCOPED_TRACE(testing::Message() << "N " << N << ", C " << C << ", positions " << with_positions);
      Case given(random, N, C, with_positions);
      const std::vector<double> expected_y = tests::naive_embedding(
          given.tokens.values, given.positions.values, to_double(given.token_table),
          with_positions ? to_double(given.position_table) : std::vector<double>(), static_cast<size_t>(C));
      std::vector<double> expected_tokens = to_double(given.dtoken_table);  // gradients accumulate
      std::vector<double> expected_positions = to_double(given.dposition_table);
      tests::naive_scatter_add(given.tokens.values, to_double(given.dy), expected_tokens);
      if (with_positions) tests::naive_scatter_add(given.positions.values, to_double(given.dy), expected_positions);
      Stream stream(Device::cpu);
      embedding_forward(stream, given.forward());
      embedding_backward(stream, given.backward());
      EXPECT_LE(relative_error(given.y, expected_y), kTolerance);
      EXPECT_LE(relative_error(given.dtoken_table, expected_tokens), kTolerance);
      EXPECT_LE(relative_error(given.dposition_table, expected_positions), kTolerance);
    }
  }
}

// The reference adds in fp32, one token after the other: the order that the header promises, to the bit.
TEST(Embedding, BackwardAddsInIndexOrderForAnyThreads) {
  tests::Random random;
  const int64_t C = 300;
  Case given(random, 500, C, true);
  Tensor<float> expected = given.dtoken_table;
  for (int64_t i = 0; i < 500; ++i) {
    for (int64_t c = 0; c < C; ++c) expected[given.tokens[i] * C + c] += given.dy[i * C + c];
  }
  Tensor<float> first_positions({5, C});
  for (const int count : {1, 2, 3}) {
    const tests::Threads threads(count);
    Case run = given;
    Stream stream(Device::cpu);
    embedding_backward(stream, run.backward());
    EXPECT_TRUE(same_bits(run.dtoken_table, expected)) << count << " threads";
    if (count == 1) first_positions = run.dposition_table;
    EXPECT_TRUE(same_bits(run.dposition_table, first_positions)) << count << " threads";
  }
}

TEST(Embedding, ForwardIsTheSameForAnyThreads) {
  tests::Random random;
  Case one_thread(random, 50, 33, true);
  Case two_threads = one_thread;
  Stream stream(Device::cpu);
  {
    const tests::Threads threads(1);
    embedding_forward(stream, one_thread.forward());
  }
  const tests::Threads threads(2);
  embedding_forward(stream, two_threads.forward());
  EXPECT_TRUE(same_bits(one_thread.y, two_threads.y));
}

TEST(Embedding, NotFiniteInputsShow) {
  tests::Random random;
  Case given(random, 9, 17, true);
  given.token_table[given.tokens[4] * 17 + 3] = NAN;
  given.dy[4 * 17 + 3] = INFINITY;
  Stream stream(Device::cpu);
  embedding_forward(stream, given.forward());
  embedding_backward(stream, given.backward());
  EXPECT_TRUE(std::isnan(given.y[4 * 17 + 3]));
  EXPECT_FALSE(std::isfinite(given.dtoken_table[given.tokens[4] * 17 + 3]));
  EXPECT_FALSE(std::isfinite(given.dposition_table[given.positions[4] * 17 + 3]));
}

TEST(Embedding, DryCostsWhatCpuCosts) {
  tests::Random random;
  const int64_t N = 9;
  const int64_t C = 17;
  for (const bool with_positions : {false, true}) {
    Stream cpu(Device::cpu);
    Stream dry(Device::dry);
    Case given(random, N, C, with_positions);
    embedding_forward(cpu, given.forward());
    embedding_backward(cpu, given.backward());
    const View ids = tests::dry_view({N}, DType::i32);
    const View tokens = tests::dry_view({11, C});
    const View positions = with_positions ? tests::dry_view({5, C}) : View();
    const View rows = tests::dry_view({N, C});
    embedding_forward(dry,
                      {.tokens = ids, .positions = ids, .token_table = tokens, .position_table = positions, .y = rows});
    embedding_backward(
        dry, {.tokens = ids, .positions = ids, .dy = rows, .dtoken_table = tokens, .dposition_table = positions});
    const int64_t tables = with_positions ? 2 : 1;
    tests::expect_cost(cpu, dry,
                       {.op = "embedding_forward",
                        .flops = with_positions ? N * C : 0,
                        .bytes = with_positions ? 4 * (2 * N + 3 * N * C) : 4 * (N + 2 * N * C)});
    tests::expect_cost(
        cpu, dry,
        {.op = "embedding_backward", .flops = tables * N * C, .bytes = 4 * (tables * N + N * C + 2 * tables * N * C)});
  }
}

TEST(Embedding, WrongShapesAreNamed) {
  tests::Random random;
  Case given(random, 9, 17, true);
  Stream stream(Device::cpu);
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
  EXPECT_EQ(tests::error_message([&] { embedding_backward(stream, backward); }),
            "embedding_backward: dy is (8, 17) fp32, expected (9, 17) fp32");
  Tensor<int64_t> wide({9});
  backward = given.backward();
  backward.tokens = wide.view();
  EXPECT_EQ(tests::error_message([&] { embedding_backward(stream, backward); }),
            "embedding_backward: tokens is (9) i64, expected (9) i32");
}

}  // namespace
}  // namespace trireme::runtime
