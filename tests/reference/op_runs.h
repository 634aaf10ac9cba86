// What tests of ops have in common beside their tensors: a number of threads for a scope, equality to the bit, and the
// cost that a call recorded.
#pragma once

#include <cstring>
#include <string>
#include <string_view>

#include "runtime/stream.h"
#include "runtime/threads.h"
#include "tests/reference/tensors.h"

namespace trireme::tests {

/// Ops run with `count` threads inside the scope.
class Threads {
 public:
  explicit Threads(int count) : before_(runtime::compute_threads()) { runtime::set_compute_threads(count); }
  ~Threads() { runtime::set_compute_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;

 private:
  int before_;
};

/// Scratch for ops of a test.
inline runtime::Arena& scratch() {
  static runtime::Arena arena = shared_arena("scratch", int64_t{1} << 26);
  return arena;
}

/// Equal bit patterns: NaN equals itself, 0 differs from -0.
template <typename T>
bool same_bits(const Tensor<T>& a, const Tensor<T>& b) {
  return a.shape == b.shape && std::memcmp(a.values.data(), b.values.data(), a.values.size() * sizeof(T)) == 0;
}

/// All that a call has written, to compare at once.
using Bits = std::string;

template <typename... Ts>
Bits bits_of(const Tensor<Ts>&... outputs) {
  Bits bits;
  (bits.append(reinterpret_cast<const char*>(outputs.values.data()), outputs.values.size() * sizeof(Ts)), ...);
  return bits;
}

/// What `op` cost on `stream` so far; a failure when it was not called exactly `calls` times.
inline runtime::OpCost cost_of(const runtime::Stream& stream, std::string_view op, int64_t calls = 1) {
  const auto found = stream.costs().by_op().find(op);
  if (found == stream.costs().by_op().end()) {
    ADD_FAILURE() << op << " recorded no cost";
    return {};
  }
  EXPECT_EQ(found->second.calls, calls) << op;
  return {.op = op, .flops = found->second.flops, .bytes = found->second.bytes};
}

/// Both streams recorded one call of `op` with this cost.
inline void expect_cost(const runtime::Stream& cpu, const runtime::Stream& dry, const runtime::OpCost& expected) {
  for (const runtime::Stream* stream : {&cpu, &dry}) {
    const runtime::OpCost cost = cost_of(*stream, expected.op);
    EXPECT_EQ(cost.flops, expected.flops) << name(stream->device());
    EXPECT_EQ(cost.bytes, expected.bytes) << name(stream->device());
  }
}

}  // namespace trireme::tests
