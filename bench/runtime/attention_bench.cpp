#include "runtime/ops/attention.h"

#include "runtime/ops/positions.h"
#include "runtime/ops/rope.h"
#include "bench/runtime/op_bench.h"

namespace trireme::runtime {
namespace {

struct AttentionOperands {
  AttentionShape shape;
  View qkv;
  View y;
  View log_sum_exp;
  View dy;
  View dqkv;

  AttentionOperands(const benchmark::State& state, Operands& operands)
      : shape{state.range(0), state.range(1), state.range(2), state.range(3), state.range(4)} {
    const auto [B, T, H, K, D] = shape;
    qkv = operands.make({B * T, (H + 2 * K) * D});
    y = operands.make({B * T, H * D});
    log_sum_exp = operands.make({B, H, T}, DType::fp32);
    dy = operands.make({B * T, H * D});
    dqkv = operands.make({B * T, (H + 2 * K) * D});
  }
};

void forward(benchmark::State& state, DType storage) {
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const AttentionOperands o(state, operands);
    return [=, &stream] {
      attention_forward(stream, o.shape, {.qkv = o.qkv, .y = o.y, .log_sum_exp = o.log_sum_exp}, Operands::scratch());
    };
  });
}

void backward(benchmark::State& state, DType storage) {
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const AttentionOperands o(state, operands);
    attention_forward(stream, o.shape, {.qkv = o.qkv, .y = o.y, .log_sum_exp = o.log_sum_exp}, Operands::scratch());
    return [=, &stream] {
      attention_backward(stream, o.shape, {o.qkv, o.y, o.log_sum_exp, o.dy, o.dqkv}, Operands::scratch());
    };
  });
}

void cached(benchmark::State& state, DType storage) {
  const int64_t past = state.range(5);
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const AttentionOperands o(state, operands);
    const View keys = operands.make({o.shape.B, past + o.shape.T, o.shape.K, o.shape.D});
    const View values = operands.make({o.shape.B, past + o.shape.T, o.shape.K, o.shape.D});
    return [=, &stream] { cached_attention(stream, o.shape, {o.qkv, keys, values, past, o.y}, Operands::scratch()); };
  });
}

template <Rotation rotation>
void rotate(benchmark::State& state, DType storage) {
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const AttentionOperands o(state, operands);
    const View table = operands.make({o.shape.T, o.shape.D}, DType::fp32);
    const View positions = operands.make({o.shape.B * o.shape.T}, DType::i32);
    fill_rope_table(stream, 10000, table);
    fill_positions(stream, 0, o.shape.T, positions);
    return [=, &stream] { rope(stream, o.shape, {table, positions, o.qkv, rotation}); };
  });
}

void make_rope_table(benchmark::State& state, DType storage) {
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const View table = operands.make({state.range(0), state.range(1)});
    return [=, &stream] { fill_rope_table(stream, 10000, table); };
  });
}

}  // namespace

void add_attention_benches() {
  const std::vector<std::string> names = {"B", "T", "H", "K", "D"};
  // gpt2-124m, a small model, grouped K/V heads, odd sizes. GPU: gpt2-124m and -1558m, llama-1b, llama-8b;
  // llama-70b's 64 and 8 heads, for which there are figures of cuDNN on the same GPU.
  const OpBenchSizes training{
      names,
      {{4, 256, 12, 12, 64}, {1, 1024, 12, 12, 64}, {12, 64, 4, 4, 32}, {1, 1024, 8, 2, 128}, {1, 1000, 5, 5, 40}},
      {{16, 1024, 12, 12, 64},
       {8, 1024, 25, 25, 64},
       {4, 2048, 32, 8, 64},
       {2, 4096, 32, 8, 128},
       {1, 8192, 32, 8, 128},
       {4, 2048, 64, 8, 128},
       {2, 4096, 64, 8, 128},
       {1, 8192, 64, 8, 128}}};
  add_benches("attention_forward", forward, training);
  add_benches("attention_backward", backward, training);
  add_benches("cached_attention", cached,
              {{"B", "T", "H", "K", "D", "past"},
               {{1, 1, 12, 12, 64, 1000}, {1, 4, 12, 12, 64, 1000}, {1, 64, 12, 12, 64, 1000}},
               {{1, 1, 32, 8, 128, 4000}, {16, 1, 32, 8, 128, 1000}}});
  add_benches("rope/forward", rotate<Rotation::forward>,
              {names, {{4, 256, 32, 8, 64}, {4, 1024, 32, 8, 64}}, {{4, 2048, 32, 8, 64}, {1, 8192, 32, 8, 128}}});
  add_benches("rope/backward", rotate<Rotation::backward>,
              {names, {{4, 256, 32, 8, 64}, {4, 1024, 32, 8, 64}}, {{4, 2048, 32, 8, 64}, {1, 8192, 32, 8, 128}}});
  add_bench("fill_rope_table", make_rope_table, DType::fp32, {{"positions", "D"}, {{8192, 64}}, {{8192, 128}}});
}

}  // namespace trireme::runtime
