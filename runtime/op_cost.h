// What a call of an op costs by its formula, and costs added up: the one account behind plans, profiles and mfu.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "runtime/view.h"

namespace trireme::runtime {

/// A dense causal count that does not depend on the data.
struct OpCost {
  std::string_view op;
  int64_t flops = 0;
  int64_t bytes = 0;             ///< least traffic: each operand read or written once
  int64_t recomputed_flops = 0;  ///< of `flops`: repeated from the forward, no part of the model's own (mfu, hfu)
  Shape sizes{};                 ///< what tells calls of one op apart in a profile: a product's (N, C_in, C_out)
};

/// Calls and costs added up per op.
class CostRecord {
 public:
  struct Total {
    int64_t calls = 0;
    int64_t flops = 0;
    int64_t bytes = 0;
    int64_t recomputed_flops = 0;
    bool operator==(const Total&) const = default;
  };

  void add(const OpCost& cost);
  void add(const CostRecord& other);
  /// What was added to `before` to give this record.
  CostRecord since(const CostRecord& before) const;
  const std::map<std::string, Total, std::less<>>& by_op() const { return by_op_; }
  Total sum() const;

 private:
  std::map<std::string, Total, std::less<>> by_op_;
};

}  // namespace trireme::runtime
