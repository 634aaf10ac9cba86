#include "runtime/ops/linear.h"

#include "bench/runtime/op_bench.h"

namespace trireme::runtime {
namespace {

template <Epilogue epilogue>
void forward(benchmark::State& state, DType storage) {
  const int64_t N = state.range(0);
  const int64_t C_in = state.range(1);
  const int64_t C_out = state.range(2);
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    LinearForward args{.x = operands.make({N, C_in}),
                       .weight = operands.make({C_out, C_in}),
                       .epilogue = epilogue,
                       .y = operands.make({N, C_out})};
    if (epilogue != Epilogue::none) args.bias = operands.make({C_out});
    if (epilogue == Epilogue::bias_gelu) args.pre_activation = operands.make({N, C_out});
    return [=, &stream] { linear_forward(stream, args, Operands::scratch()); };
  });
}

void backward_input(benchmark::State& state, DType storage) {
  const int64_t N = state.range(0);
  const int64_t C_in = state.range(1);
  const int64_t C_out = state.range(2);
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const View dy = operands.make({N, C_out});
    const View weight = operands.make({C_out, C_in});
    const View dx = operands.make({N, C_in});
    return [=, &stream] { linear_backward_input(stream, dy, weight, dx, Operands::scratch()); };
  });
}

template <bool has_bias>
void backward_weight(benchmark::State& state, DType storage) {
  const int64_t N = state.range(0);
  const int64_t C_in = state.range(1);
  const int64_t C_out = state.range(2);
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    const View dy = operands.make({N, C_out});
    const View x = operands.make({N, C_in});
    const View dweight = operands.make({C_out, C_in}, DType::fp32);
    const View dbias = has_bias ? operands.make({C_out}, DType::fp32) : View();
    return [=, &stream] { linear_backward_weight(stream, dy, x, dweight, dbias, Operands::scratch()); };
  });
}

}  // namespace

void add_linear_benches() {
  const std::vector<std::string> names = {"N", "C_in", "C_out"};
  // A layer and the head (512 tokens at a time) of gpt2-124m; a small model. GPU: 16 x 1,024 tokens of gpt2-124m, a
  // chunk of its head (vocabulary tables are padded to multiples of 64 there), 8 x 1,024 of gpt2-1558m.
  const OpBenchSizes training{
      names,
      {{1024, 768, 2304}, {1024, 768, 768}, {1024, 768, 3072}, {1024, 3072, 768}, {512, 768, 50257}, {768, 128, 512}},
      {{16384, 768, 2304},
       {16384, 768, 768},
       {16384, 768, 3072},
       {16384, 3072, 768},
       {8192, 768, 50304},
       {8192, 1600, 4800},
       {8192, 1600, 1600},
       {8192, 1600, 6400},
       {8192, 6400, 1600}}};
  // llama-1b, without biases: q, k and v of 32 + 2 x 8 heads of 64, the attention's output, gate and up, down. GPU:
  // 8,192 tokens, and llama-8b too.
  const OpBenchSizes llama{names,
                           {{1024, 2048, 3072}, {1024, 2048, 2048}, {1024, 2048, 16384}, {1024, 8192, 2048}},
                           {{8192, 2048, 3072},
                            {8192, 2048, 2048},
                            {8192, 2048, 16384},
                            {8192, 8192, 2048},
                            {4096, 2048, 128256},
                            {8192, 4096, 6144},
                            {8192, 4096, 4096},
                            {8192, 4096, 28672},
                            {8192, 14336, 4096}}};
  const OpBenchSizes decoding{names, {{1, 768, 3072}, {1, 3072, 768}, {4, 768, 3072}, {1, 768, 50257}}};
  for (const OpBenchSizes& sizes : {training, decoding}) {
    add_benches("linear_forward/none", forward<Epilogue::none>, sizes);
    add_benches("linear_forward/bias", forward<Epilogue::bias>, sizes);
    add_benches("linear_forward/bias_gelu", forward<Epilogue::bias_gelu>, sizes);
  }
  add_benches("linear_forward/none", forward<Epilogue::none>, llama);
  for (const OpBenchSizes& sizes : {training, llama}) {
    add_benches("linear_backward_input", backward_input, sizes);
    add_benches("linear_backward_weight/none", backward_weight<false>, sizes);
  }
  add_benches("linear_backward_weight/bias", backward_weight<true>, training);
}

}  // namespace trireme::runtime
