// A Stream is where ops run, in order. On the CPU an op runs inline; a dry stream only records. Every op passes through
// dispatch(), which adds up its stated cost and polls the messages in flight (there is no progress thread).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <string_view>

namespace trireme::runtime {

enum class Device {
  cpu,
  dry,  ///< checks shapes and states costs; touches no memory
};

std::string_view name(Device device);

/// What one call of an op costs by its formula: a dense causal count that does not depend on the data.
struct OpCost {
  std::string_view op;
  int64_t flops = 0;
  int64_t bytes = 0;  ///< least traffic: each operand read or written once
};

/// Calls and costs added up per op.
class CostRecord {
 public:
  struct Total {
    int64_t calls = 0;
    int64_t flops = 0;
    int64_t bytes = 0;
    bool operator==(const Total&) const = default;
  };

  void add(const OpCost& cost);
  const std::map<std::string, Total, std::less<>>& by_op() const { return by_op_; }
  Total sum() const;

 private:
  std::map<std::string, Total, std::less<>> by_op_;
};

class Stream {
 public:
  explicit Stream(Device device) : device_(device) {}

  Device device() const { return device_; }

  /// Called by every op after its shape checks and before its kernel.
  void dispatch(const OpCost& cost) {
    costs_.add(cost);
    if (progress_) progress_();
  }

  /// `progress` advances pending messages; it must be cheap and must not throw on a slow peer.
  void on_dispatch(std::function<void()> progress) { progress_ = std::move(progress); }

  const CostRecord& costs() const { return costs_; }
  void clear_costs() { costs_ = {}; }

 private:
  Device device_;
  CostRecord costs_;
  std::function<void()> progress_;
};

}  // namespace trireme::runtime
