#include "runtime/ops/attention.h"

#include <string>

#include "runtime/error.h"
#include "runtime/ops/attention_cpu.h"
#include "runtime/ops/attention_cuda.h"
#include "runtime/ops/check.h"
#include "runtime/ops/cuda_scratch.h"
#include "runtime/threads.h"

namespace trireme::runtime {
namespace {

void check_shape(std::string_view op, const AttentionShape& shape) {
  const auto [B, T, H, K, D] = shape;
  if (B < 1 || T < 1 || H < 1 || K < 1 || D < 1) {
    throw Error(ErrorKind::internal, std::string(op) + ": B, T, H, K, D are " + to_string({B, T, H, K}) + " and " +
                                         std::to_string(D) + ", expected at least 1 each");
  }
  if (H % K != 0) {
    throw Error(ErrorKind::internal, std::string(op) + ": " + std::to_string(H) +
                                         " query heads are not a multiple of " + std::to_string(K) +
                                         " key/value heads");
  }
}

/// For the CPU's kernels a row for each thread, each on cache lines of its own; absent for the GPU's.
View thread_scratch(const Stream& stream, Arena& scratch, int64_t elements) {
  if (stream.planned_device() != Device::cpu) return View();
  constexpr int64_t kLine = 64 / sizeof(float);
  return scratch.allocate(DType::fp32, {compute_threads(), (elements + kLine - 1) / kLine * kLine});
}

}  // namespace

void attention_forward(Stream& stream, const AttentionShape& shape, const AttentionForward& args, Arena& scratch) {
  constexpr std::string_view kOp = "attention_forward";
  check_shape(kOp, shape);
  const auto [B, T, H, K, D] = shape;
  const DType storage = storage_of(kOp, "qkv", args.qkv);
  check_operand(kOp, "qkv", args.qkv, storage, {B * T, (H + 2 * K) * D});
  check_operand(kOp, "y", args.y, storage, {B * T, H * D});
  check_operand(kOp, "log_sum_exp", args.log_sum_exp, DType::fp32, {B, H, T});
  if (!args.first_keys.absent()) check_operand(kOp, "first_keys", args.first_keys, DType::i32, {B * T});

  const ArenaFrame frame(scratch);
  const View tiles = thread_scratch(stream, scratch, cpu::attention_forward_scratch(shape));
  const OpScope scope = stream.dispatch({.op = kOp,
                                         .flops = 4 * B * H * D * (T * (T + 1) / 2),
                                         .bytes = args.qkv.bytes() + args.y.bytes() + args.log_sum_exp.bytes(),
                                         .sizes = {B, T, H, D}});
  switch (stream.device()) {
    case Device::cpu:
      cpu::attention_forward(shape, args, tiles);
      break;
    case Device::cuda:
      cuda::attention_forward(stream.queue(), shape, args);
      break;
    case Device::dry:
      break;
  }
}

void attention_backward(Stream& stream, const AttentionShape& shape, const AttentionBackward& args, Arena& scratch) {
  constexpr std::string_view kOp = "attention_backward";
  check_shape(kOp, shape);
  const auto [B, T, H, K, D] = shape;
  const DType storage = storage_of(kOp, "qkv", args.qkv);
  check_operand(kOp, "qkv", args.qkv, storage, {B * T, (H + 2 * K) * D});
  check_operand(kOp, "y", args.y, storage, {B * T, H * D});
  check_operand(kOp, "log_sum_exp", args.log_sum_exp, DType::fp32, {B, H, T});
  check_operand(kOp, "dy", args.dy, storage, {B * T, H * D});
  check_operand(kOp, "dqkv", args.dqkv, storage, {B * T, (H + 2 * K) * D});
  if (!args.first_keys.absent()) check_operand(kOp, "first_keys", args.first_keys, DType::i32, {B * T});

  const ArenaFrame frame(scratch);
  const View tiles = thread_scratch(stream, scratch, cpu::attention_backward_scratch(shape));
  const View sums = cuda_scratch(stream, scratch, DType::fp32, cuda::attention_backward_scratch(shape));
  const OpScope scope = stream.dispatch(
      {.op = kOp,
       .flops = 10 * B * H * D * (T * (T + 1) / 2),
       .bytes = args.qkv.bytes() + args.y.bytes() + args.log_sum_exp.bytes() + args.dy.bytes() + args.dqkv.bytes(),
       .recomputed_flops = 2 * B * H * D * (T * (T + 1) / 2),
       .sizes = {B, T, H, D}});
  switch (stream.device()) {
    case Device::cpu:
      cpu::attention_backward(shape, args, tiles);
      break;
    case Device::cuda:
      cuda::attention_backward(stream.queue(), shape, args, sums);
      break;
    case Device::dry:
      break;
  }
}

void cached_attention(Stream& stream, const AttentionShape& shape, const CachedAttention& args, Arena& scratch) {
  constexpr std::string_view kOp = "cached_attention";
  check_shape(kOp, shape);
  const auto [B, T, H, K, D] = shape;
  const DType storage = storage_of(kOp, "qkv", args.qkv);
  check_operand(kOp, "qkv", args.qkv, storage, {B * T, (H + 2 * K) * D});
  check_operand(kOp, "y", args.y, storage, {B * T, H * D});
  const int64_t T_max = args.key_cache.shape.rank() == 4 ? args.key_cache.shape[1] : args.past + T;
  check_operand(kOp, "key_cache", args.key_cache, storage, {B, T_max, K, D});
  check_operand(kOp, "value_cache", args.value_cache, storage, {B, T_max, K, D});
  if (args.past < 0 || args.past + T > T_max) {
    throw Error(ErrorKind::internal, std::string(kOp) + ": " + std::to_string(T) + " tokens after " +
                                         std::to_string(args.past) + " do not fit a cache of " + std::to_string(T_max));
  }

  const ArenaFrame frame(scratch);
  const View tiles = thread_scratch(stream, scratch, cpu::attention_forward_scratch(shape));
  // Reads the cached part of both caches once, writes the new part.
  const int64_t cache_bytes = 2 * B * (args.past + T) * K * D * size_bytes(storage);
  const OpScope scope = stream.dispatch({.op = kOp,
                                         .flops = 4 * B * H * D * (T * args.past + T * (T + 1) / 2),
                                         .bytes = args.qkv.bytes() + args.y.bytes() + cache_bytes});
  switch (stream.device()) {
    case Device::cpu:
      cpu::cached_attention(shape, args, tiles);
      break;
    case Device::cuda:
      cuda::cached_attention(stream.queue(), shape, args);
      break;
    case Device::dry:
      break;
  }
}

}  // namespace trireme::runtime
