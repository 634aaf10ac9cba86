#include "runtime/ops/embedding.h"

#include "runtime/ops/positions.h"
#include "bench/runtime/op_bench.h"

namespace trireme::runtime {
namespace {

struct Ids {
  View tokens;
  View positions;

  /// Tokens all over the vocabulary.
  Ids(Stream& stream, Operands& operands, int64_t N, int64_t T, int64_t V)
      : tokens(operands.make_ids(N, V)), positions(operands.make({N}, DType::i32)) {
    fill_positions(stream, 0, T, positions);
  }
};

void embedding_forward_bench(benchmark::State& state, DType storage) {
  const int64_t N = state.range(0) * state.range(1);
  const int64_t T = state.range(1);
  const int64_t V = state.range(2);
  const int64_t C = state.range(3);
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const Ids ids(stream, operands, N, T, V);
    const View token_table = operands.make({V, C});
    const View position_table = operands.make({T, C});
    const View y = operands.make({N, C});
    return [=, &stream] { embedding_forward(stream, {ids.tokens, ids.positions, token_table, position_table, y}); };
  });
}

void embedding_backward_bench(benchmark::State& state, DType storage) {
  const int64_t N = state.range(0) * state.range(1);
  const int64_t T = state.range(1);
  const int64_t V = state.range(2);
  const int64_t C = state.range(3);
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const Ids ids(stream, operands, N, T, V);
    const View dy = operands.make({N, C});
    const View dtoken_table = operands.make({V, C}, DType::fp32);
    const View dposition_table = operands.make({T, C}, DType::fp32);
    return [=, &stream] {
      embedding_backward(stream, {ids.tokens, ids.positions, dy, dtoken_table, dposition_table}, Operands::scratch());
    };
  });
}

void fill_positions_bench(benchmark::State& state, DType storage) {
  const int64_t T = state.range(1);
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const View positions = operands.make({state.range(0) * T}, DType::i32);
    return [=, &stream] { fill_positions(stream, 0, T, positions); };
  });
}

}  // namespace

void add_embedding_benches() {
  const OpBenchSizes sizes{
      {"B", "T", "V", "C"},
      {{4, 256, 50257, 768}, {16, 1024, 50257, 768}},
      {{16, 1024, 50257, 768}, {8, 1024, 50257, 1600}, {4, 2048, 128256, 2048}, {1, 8192, 128256, 4096}}};
  add_benches("embedding_forward", embedding_forward_bench, sizes);
  add_benches("embedding_backward", embedding_backward_bench, sizes);
  add_bench("fill_positions", fill_positions_bench, DType::i32, {{"B", "T"}, {{4, 1024}}, {{16, 1024}}});
}

}  // namespace trireme::runtime
