#include "runtime/ops/loss.h"

#include "runtime/error.h"
#include "runtime/ops/check.h"
#include "runtime/ops/loss_cpu.h"
#include "runtime/ops/loss_cuda.h"

namespace trireme::runtime {

void mask_padding(Stream& stream, int64_t V, View logits) {
  constexpr std::string_view op = "mask_padding";
  check_rank(op, "logits", logits, 2);
  const int64_t padding = logits.shape[1] - V;
  if (V < 0 || padding < 0) {
    throw Error(ErrorKind::internal,
                "mask_padding: V is " + std::to_string(V) + ", expected 0 to " + std::to_string(logits.shape[1]));
  }
  const int64_t bytes = size_bytes(storage_of(op, "logits", logits)) * logits.shape[0] * padding;
  const OpScope scope = stream.dispatch({.op = op, .flops = 0, .bytes = bytes});
  switch (stream.device()) {
    case Device::cpu:
      cpu::mask_padding(V, logits);
      break;
    case Device::cuda:
      cuda::mask_padding(stream.queue(), V, logits);
      break;
    case Device::dry:
      break;
  }
}

void loss_partials(Stream& stream, ConstView logits, ConstView targets, int64_t vocabulary_begin, View partials) {
  constexpr std::string_view op = "loss_partials";
  check_rank(op, "logits", logits, 2);
  const int64_t N = logits.shape[0];
  const int64_t V_local = logits.shape[1];
  check_operand(op, "logits", logits, storage_of(op, "logits", logits), {N, V_local});
  check_operand(op, "targets", targets, DType::i32, {N});
  check_operand(op, "partials", partials, DType::fp32, {N, 3});

  const OpScope scope = stream.dispatch({.op = op, .flops = 4 * N * V_local, .bytes = logits.bytes() + 16 * N});
  switch (stream.device()) {
    case Device::cpu:
      cpu::loss_partials(logits, targets, vocabulary_begin, partials);
      break;
    case Device::cuda:
      cuda::loss_partials(stream.queue(), logits, targets, vocabulary_begin, partials);
      break;
    case Device::dry:
      break;
  }
}

void loss_combine(Stream& stream, Communicator& group, ConstView targets, View partials, View totals, Arena& scratch) {
  constexpr std::string_view op = "loss_combine";
  check_rank(op, "targets", targets, 1);
  const int64_t N = targets.shape[0];
  const int64_t P = group.size();
  check_operand(op, "targets", targets, DType::i32, {N});
  check_operand(op, "partials", partials, DType::fp32, {N, 3});
  check_operand(op, "totals", totals, DType::fp64, {2});

  // Merging costs 6 flops a rank and token, the sums 4 a token. The scope holds the gathering: its time is this op's.
  const OpScope scope = stream.dispatch(
      {.op = op, .flops = N * ((P > 1 ? 6 * P : 0) + 4), .bytes = (P > 1 ? 12 * P * N : 0) + 16 * N + 32});
  const ArenaFrame frame(scratch);
  ConstView gathered;  // absent when alone: the partials are combined already
  if (P > 1) {
    const View all = scratch.allocate(DType::fp32, {P, N, 3});
    group.all_gather(partials, all).wait();
    gathered = all;
  }
  switch (stream.device()) {
    case Device::cpu:
      if (P > 1) cpu::loss_merge(gathered, partials);
      cpu::loss_total(partials, targets, totals);
      break;
    case Device::cuda:
      if (P > 1) cuda::loss_merge(stream.queue(), gathered, partials);
      cuda::loss_total(stream.queue(), partials, targets, totals);
      break;
    case Device::dry:
      break;
  }
}

void loss_gradient(Stream& stream, ConstView partials, ConstView targets, int64_t vocabulary_begin, View logits) {
  constexpr std::string_view op = "loss_gradient";
  check_rank(op, "logits", logits, 2);
  const int64_t N = logits.shape[0];
  const int64_t V_local = logits.shape[1];
  check_operand(op, "partials", partials, DType::fp32, {N, 3});
  check_operand(op, "targets", targets, DType::i32, {N});
  check_operand(op, "logits", logits, storage_of(op, "logits", logits), {N, V_local});

  const OpScope scope = stream.dispatch({.op = op, .flops = 3 * N * V_local, .bytes = 2 * logits.bytes() + 16 * N});
  switch (stream.device()) {
    case Device::cpu:
      cpu::loss_gradient(partials, targets, vocabulary_begin, logits);
      break;
    case Device::cuda:
      cuda::loss_gradient(stream.queue(), partials, targets, vocabulary_begin, logits);
      break;
    case Device::dry:
      break;
  }
}

}  // namespace trireme::runtime
