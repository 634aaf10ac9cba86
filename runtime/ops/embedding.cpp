#include "runtime/ops/embedding.h"

#include "runtime/ops/check.h"
#include "runtime/ops/cuda_scratch.h"
#include "runtime/ops/embedding_cpu.h"
#include "runtime/ops/embedding_cuda.h"

namespace trireme::runtime {

void embedding_forward(Stream& stream, const EmbeddingForward& args) {
  constexpr std::string_view op = "embedding_forward";
  check_rank(op, "token_table", args.token_table, 2);
  check_rank(op, "tokens", args.tokens, 1);
  const int64_t N = args.tokens.shape[0];
  const int64_t V = args.token_table.shape[0];
  const int64_t C = args.token_table.shape[1];
  const bool with_positions = !args.position_table.absent();
  const DType storage = storage_of(op, "token_table", args.token_table);
  check_operand(op, "tokens", args.tokens, DType::i32, {N});
  check_operand(op, "token_table", args.token_table, storage, {V, C});
  if (with_positions) {
    check_rank(op, "position_table", args.position_table, 2);
    check_operand(op, "positions", args.positions, DType::i32, {N});
    check_operand(op, "position_table", args.position_table, storage, {args.position_table.shape[0], C});
  }
  check_operand(op, "y", args.y, storage, {N, C});

  const int64_t tables = with_positions ? 2 : 1;
  const int64_t bytes = 4 * tables * N + (tables + 1) * size_bytes(storage) * N * C;
  const OpScope scope = stream.dispatch({.op = op, .flops = with_positions ? N * C : 0, .bytes = bytes});
  switch (stream.device()) {
    case Device::cpu:
      cpu::embedding_forward(args);
      break;
    case Device::cuda:
      cuda::embedding_forward(stream.queue(), args);
      break;
    case Device::dry:
      break;
  }
}

void embedding_backward(Stream& stream, const EmbeddingBackward& args, Arena& scratch) {
  constexpr std::string_view op = "embedding_backward";
  check_rank(op, "dtoken_table", args.dtoken_table, 2);
  check_rank(op, "tokens", args.tokens, 1);
  const int64_t N = args.tokens.shape[0];
  const int64_t V = args.dtoken_table.shape[0];
  const int64_t C = args.dtoken_table.shape[1];
  const bool with_positions = !args.dposition_table.absent();
  check_operand(op, "tokens", args.tokens, DType::i32, {N});
  check_operand(op, "dtoken_table", args.dtoken_table, DType::fp32, {V, C});
  if (with_positions) {
    check_rank(op, "dposition_table", args.dposition_table, 2);
    check_operand(op, "positions", args.positions, DType::i32, {N});
    check_operand(op, "dposition_table", args.dposition_table, DType::fp32, {args.dposition_table.shape[0], C});
  }
  const DType storage = storage_of(op, "dy", args.dy);
  check_operand(op, "dy", args.dy, storage, {N, C});

  const int64_t tables = with_positions ? 2 : 1;
  const int64_t bytes = 4 * tables * N + size_bytes(storage) * N * C + 8 * tables * N * C;
  const ArenaFrame frame(scratch);
  const View sorted = cuda_scratch(stream, scratch, DType::u8, cuda::embedding_backward_scratch_bytes(N, C));
  const OpScope scope = stream.dispatch({.op = op, .flops = tables * N * C, .bytes = bytes});
  switch (stream.device()) {
    case Device::cpu:
      cpu::embedding_backward(args);
      break;
    case Device::cuda:
      cuda::embedding_backward(stream.queue(), args, sorted);
      break;
    case Device::dry:
      break;
  }
}

}  // namespace trireme::runtime
