// Time and cost of each kind of call (op and sizes) on a stream: what `train --profile` prints. An op's time is from
// the end of its shape checks to the end of its kernel.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/op_cost.h"

namespace trireme::runtime {

class OpProfile {
 public:
  struct Row {
    std::string op;
    Shape sizes;
    int64_t calls = 0;
    int64_t flops = 0;
    int64_t bytes = 0;
    int64_t recomputed_flops = 0;
    double seconds = 0;
  };

  void add(const OpCost& cost, double seconds);
  /// All calls of another profile, so many times.
  void add(const OpProfile& other, int64_t times);
  /// Kinds of calls, in the order of their first call.
  const std::vector<Row>& rows() const { return rows_; }

 private:
  Row& row_of(std::string_view op, const Shape& sizes);

  std::vector<Row> rows_;
};

}  // namespace trireme::runtime
