#include "runtime/ops/rope.h"

#include <string>

#include "runtime/error.h"
#include "runtime/ops/check.h"
#include "runtime/ops/rope_cpu.h"
#include "runtime/ops/rope_cuda.h"

namespace trireme::runtime {
namespace {

void check_head_width(std::string_view op, int64_t D) {
  if (D >= 2 && D % 2 == 0) return;
  throw Error(ErrorKind::internal, std::string(op) + ": a head is " + std::to_string(D) +
                                       " wide, expected an even width: channels turn in pairs");
}

}  // namespace

void fill_rope_table(Stream& stream, double theta, View table) {
  constexpr std::string_view kOp = "fill_rope_table";
  check_rank(kOp, "table", table, 2);
  check_head_width(kOp, table.shape[1]);
  check_operand(kOp, "table", table, DType::fp32, table.shape);
  if (!(theta > 0)) {
    throw Error(ErrorKind::internal, std::string(kOp) + ": theta is " + std::to_string(theta) + ", expected above 0");
  }
  const OpScope scope = stream.dispatch({.op = kOp, .flops = 2 * table.elements(), .bytes = table.bytes()});
  switch (stream.device()) {
    case Device::cpu:
      cpu::fill_rope_table(theta, table);
      break;
    case Device::cuda:
      cuda::fill_rope_table(stream.queue(), theta, table);
      break;
    case Device::dry:
      break;
  }
}

void rope(Stream& stream, const AttentionShape& shape, const Rope& args) {
  constexpr std::string_view kOp = "rope";
  const auto [B, T, H, K, D] = shape;
  check_head_width(kOp, D);
  const DType storage = storage_of(kOp, "qkv", args.qkv);
  check_operand(kOp, "qkv", args.qkv, storage, {B * T, (H + 2 * K) * D});
  check_rank(kOp, "table", args.table, 2);
  check_operand(kOp, "table", args.table, DType::fp32, {args.table.shape[0], D});
  check_operand(kOp, "positions", args.positions, DType::i32, {B * T});

  const int64_t n = B * T * (H + K) * D;
  const OpScope scope =
      stream.dispatch({.op = kOp, .flops = 3 * n, .bytes = 2 * size_bytes(storage) * n + 4 * B * T * (1 + D)});
  switch (stream.device()) {
    case Device::cpu:
      cpu::rope(shape, args);
      break;
    case Device::cuda:
      cuda::rope(stream.queue(), shape, args);
      break;
    case Device::dry:
      break;
  }
}

}  // namespace trireme::runtime
