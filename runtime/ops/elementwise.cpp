#include "runtime/ops/elementwise.h"

#include <algorithm>
#include <string>

#include "runtime/error.h"
#include "runtime/ops/check.h"
#include "runtime/ops/cuda_scratch.h"
#include "runtime/ops/elementwise_cpu.h"
#include "runtime/ops/elementwise_cuda.h"

namespace trireme::runtime {
namespace {

void check_host_size(std::string_view op, int64_t host_bytes, int64_t view_bytes) {
  if (host_bytes == view_bytes) return;
  throw Error(ErrorKind::internal, std::string(op) + ": host has " + std::to_string(host_bytes) + " bytes, expected " +
                                       std::to_string(view_bytes));
}

}  // namespace

void cast(Stream& stream, ConstView x, View y) {
  storage_of("cast", "x", x);
  check_operand("cast", "y", y, storage_of("cast", "y", y), x.shape);
  const OpScope scope = stream.dispatch({.op = "cast", .flops = 0, .bytes = x.bytes() + y.bytes()});
  switch (stream.device()) {
    case Device::cpu:
      cpu::cast(x, y);
      break;
    case Device::cuda:
      cuda::cast(stream.queue(), x, y);
      break;
    case Device::dry:
      break;
  }
}

void fill(Stream& stream, View y, double value) {
  if (y.dtype != DType::fp64) storage_of("fill", "y", y);
  const OpScope scope = stream.dispatch({.op = "fill", .flops = 0, .bytes = y.bytes()});
  switch (stream.device()) {
    case Device::cpu:
      cpu::fill(y, value);
      break;
    case Device::cuda:
      cuda::fill(stream.queue(), y, value);
      break;
    case Device::dry:
      break;
  }
}

void add(Stream& stream, ConstView a, ConstView b, View y) {
  const DType storage = storage_of("add", "a", a);
  check_operand("add", "b", b, storage, a.shape);
  check_operand("add", "y", y, storage, a.shape);
  const int64_t n = a.elements();
  const OpScope scope = stream.dispatch({.op = "add", .flops = n, .bytes = 3 * size_bytes(storage) * n});
  switch (stream.device()) {
    case Device::cpu:
      cpu::add(a, b, y);
      break;
    case Device::cuda:
      cuda::add(stream.queue(), a, b, y);
      break;
    case Device::dry:
      break;
  }
}

void add_sum_of_squares(Stream& stream, ConstView x, View total, Arena& scratch) {
  check_operand("add_sum_of_squares", "x", x, DType::fp32, x.shape);
  check_operand("add_sum_of_squares", "total", total, DType::fp64, {1});
  const int64_t n = x.elements();
  const ArenaFrame frame(scratch);
  const View sums = cuda_scratch(stream, scratch, DType::fp64, cuda::add_sum_of_squares_scratch(n));
  const OpScope scope = stream.dispatch({.op = "add_sum_of_squares", .flops = 2 * n, .bytes = 4 * n + 16});
  switch (stream.device()) {
    case Device::cpu:
      cpu::add_sum_of_squares(x, total);
      break;
    case Device::cuda:
      cuda::add_sum_of_squares(stream.queue(), x, total, sums);
      break;
    case Device::dry:
      break;
  }
}

void fill_normal(Stream& stream, const NormalSource& source, int64_t begin, View y) {
  check_operand("fill_normal", "y", y, DType::fp32, y.shape);
  if (begin < 0) {
    throw Error(ErrorKind::internal, "fill_normal: begin is " + std::to_string(begin) + ", expected 0 or more");
  }
  const int64_t n = y.elements();
  const OpScope scope = stream.dispatch({.op = "fill_normal", .flops = 4 * n, .bytes = 4 * n});
  switch (stream.device()) {
    case Device::cpu:
      cpu::fill_normal(source, begin, y);
      break;
    case Device::cuda:
      cuda::fill_normal(stream.queue(), source, begin, y);
      break;
    case Device::dry:
      break;
  }
}

void read_scalars(Stream& stream, ConstView values, std::span<double> host) {
  check_operand("read_scalars", "values", values, DType::fp64, {static_cast<int64_t>(host.size())});
  const OpScope scope = stream.dispatch({.op = "read_scalars", .flops = 0, .bytes = 2 * values.bytes()});
  switch (stream.device()) {
    case Device::cpu:
      std::copy_n(values.as<double>(), host.size(), host.begin());
      break;
    case Device::cuda:
      cuda::copy_to_host(stream.queue(), values.data, std::as_writable_bytes(host));
      break;
    case Device::dry:
      std::ranges::fill(host, 1.0);
      break;
  }
}

void copy_from_host(Stream& stream, std::span<const std::byte> host, View view) {
  check_host_size("copy_from_host", static_cast<int64_t>(host.size()), view.bytes());
  const OpScope scope = stream.dispatch({.op = "copy_from_host", .flops = 0, .bytes = 2 * view.bytes()});
  switch (stream.device()) {
    case Device::cpu:
      std::ranges::copy(host, static_cast<std::byte*>(view.data));
      break;
    case Device::cuda:
      cuda::copy_to_device(stream.queue(), host, view.data);
      break;
    case Device::dry:
      break;
  }
}

void copy_to_host(Stream& stream, ConstView view, std::span<std::byte> host) {
  check_host_size("copy_to_host", static_cast<int64_t>(host.size()), view.bytes());
  const OpScope scope = stream.dispatch({.op = "copy_to_host", .flops = 0, .bytes = 2 * view.bytes()});
  switch (stream.device()) {
    case Device::cpu:
      std::copy_n(static_cast<const std::byte*>(view.data), host.size(), host.begin());
      break;
    case Device::cuda:
      cuda::copy_to_host(stream.queue(), view.data, host);
      break;
    case Device::dry:
      break;
  }
}

}  // namespace trireme::runtime
