// One call of a communicator as data, checked: what the host and the dry communicator have in common.
#pragma once

#include <string>

#include "runtime/collective_plan.h"
#include "runtime/communicator.h"
#include "runtime/view.h"

namespace trireme::runtime {

struct CollectiveCall {
  CollectiveOp op = CollectiveOp::barrier;
  ConstView input = {};
  View output = {};
  ReduceOp reduce = ReduceOp::sum;
  int peer = 0;  ///< root of a broadcast, other side of a send or recv
};

struct GroupPlace {
  int rank = 0;
  int size = 1;
  GroupUse use = GroupUse::sums;
};

/// The plan of a call. Throws Error(internal) that prints expected and got for sizes, dtypes, ranks and overlaps that
/// no group of that size can serve.
CollectivePlan checked_plan(const CollectiveCall& call, const GroupPlace& place, int64_t chunk_bytes);

DType dtype_of_call(const CollectiveCall& call);

/// y = a op b for n elements; y may be a or b. bf16 is added in fp32 and rounded to nearest even. NaN of either side
/// stays NaN.
void combine(DType dtype, ReduceOp op, const void* a, const void* b, void* y, int64_t n);

/// "sum"
std::string_view name(ReduceOp op);

}  // namespace trireme::runtime
