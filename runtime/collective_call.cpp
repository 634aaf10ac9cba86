#include "runtime/collective_call.h"

#include <functional>

#include "runtime/bf16.h"
#include "runtime/error.h"
#include "runtime/simd.h"

namespace trireme::runtime {
namespace {

std::string described(const ConstView& view) {
  return to_string(view.shape) + " " + std::string(name(view.dtype));
}

[[noreturn]] void refuse(CollectiveOp op, const std::string& why) {
  throw Error(ErrorKind::internal, std::string(name(op)) + ": " + why);
}

void check_dtypes(const CollectiveCall& call, bool reduces) {
  if (call.op == CollectiveOp::barrier) return;
  const DType dtype = dtype_of_call(call);
  const bool two_views = call.op == CollectiveOp::reduce_scatter || call.op == CollectiveOp::all_gather ||
                         call.op == CollectiveOp::all_to_all;
  if (two_views && call.input.dtype != call.output.dtype) {
    refuse(call.op,
           "input is " + described(call.input) + ", output " + described(call.output) + "; they must have one dtype");
  }
  const bool can_reduce = dtype == DType::fp32 || dtype == DType::bf16 || dtype == DType::fp64 || dtype == DType::i64;
  if (reduces && !can_reduce) {
    refuse(call.op, "cannot reduce " + std::string(name(dtype)) + ", only fp32, bf16, fp64 and i64");
  }
}

void check_sizes(const CollectiveCall& call, int size) {
  const int64_t in = call.input.elements();
  const int64_t out = call.output.elements();
  bool fits = true;
  if (call.op == CollectiveOp::reduce_scatter) fits = in == out * size;
  if (call.op == CollectiveOp::all_gather) fits = out == in * size;
  if (call.op == CollectiveOp::all_to_all) fits = in == out && in % size == 0;
  if (!fits) {
    refuse(call.op, "input " + described(call.input) + " and output " + described(call.output) +
                        " do not fit a group of " + std::to_string(size));
  }
}

/// In place is allowed where the own part of one view is the other view; every other overlap would be read after it was
/// overwritten.
void check_overlap(const CollectiveCall& call, const GroupPlace& place) {
  const auto* in = static_cast<const std::byte*>(call.input.data);
  const auto* out = static_cast<const std::byte*>(call.output.data);
  if (in == nullptr || out == nullptr || call.input.bytes() == 0 || call.output.bytes() == 0) return;
  const std::less<const std::byte*> before;
  if (!before(in, out + call.output.bytes()) || !before(out, in + call.input.bytes())) return;
  if (call.op == CollectiveOp::all_gather && in == out + place.rank * call.input.bytes()) return;
  if (call.op == CollectiveOp::reduce_scatter && out == in + place.rank * call.output.bytes()) return;
  if (call.op == CollectiveOp::all_to_all && place.size == 1 && in == out) return;
  if (call.op == CollectiveOp::all_reduce || call.op == CollectiveOp::broadcast) return;
  refuse(call.op, "input and output overlap; only the own part of the larger one may be the other one");
}

template <typename T>
T larger(T a, T b) {
  return b > a || b != b ? b : a;
}

TRIREME_SIMD void sum_fp32(const float* a, const float* b, float* y, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = a[i] + b[i];
}
TRIREME_SIMD void sum_bf16(const bf16* a, const bf16* b, bf16* y, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = static_cast<float>(a[i]) + static_cast<float>(b[i]);
}
TRIREME_SIMD void sum_fp64(const double* a, const double* b, double* y, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) y[i] = a[i] + b[i];
}
TRIREME_SIMD void sum_i64(const int64_t* a, const int64_t* b, int64_t* y, int64_t n) {
#pragma omp simd
  for (int64_t i = 0; i < n; ++i) {
    y[i] = static_cast<int64_t>(static_cast<uint64_t>(a[i]) + static_cast<uint64_t>(b[i]));  // wraps, by definition
  }
}

template <typename T>
void max_of(const void* a, const void* b, void* y, int64_t n) {
  const T* first = static_cast<const T*>(a);
  const T* second = static_cast<const T*>(b);
  T* result = static_cast<T*>(y);
  for (int64_t i = 0; i < n; ++i) result[i] = larger(first[i], second[i]);
}

}  // namespace

DType dtype_of_call(const CollectiveCall& call) {
  if (call.op == CollectiveOp::barrier) return DType::u8;
  return call.op == CollectiveOp::recv ? call.output.dtype : call.input.dtype;
}

CollectivePlan checked_plan(const CollectiveCall& call, const GroupPlace& place, int64_t chunk_bytes) {
  const bool names_peer =
      call.op == CollectiveOp::broadcast || call.op == CollectiveOp::send || call.op == CollectiveOp::recv;
  if (names_peer && (call.peer < 0 || call.peer >= place.size)) {
    refuse(call.op, "rank " + std::to_string(call.peer) + " is not in a group of " + std::to_string(place.size));
  }
  const bool reduces = call.op == CollectiveOp::all_reduce || call.op == CollectiveOp::reduce_scatter;
  if (reduces && place.use == GroupUse::messages) {
    refuse(call.op, "this group was made for messages, without memory for sums");
  }
  check_dtypes(call, reduces);
  check_sizes(call, place.size);
  check_overlap(call, place);

  int64_t elements = call.input.elements();
  if (call.op == CollectiveOp::reduce_scatter || call.op == CollectiveOp::recv) elements = call.output.elements();
  if (call.op == CollectiveOp::all_to_all) elements /= place.size;
  return CollectivePlan({.op = call.op,
                         .rank = place.rank,
                         .size = place.size,
                         .elements = elements,
                         .dtype_bytes = size_bytes(dtype_of_call(call)),
                         .chunk_bytes = chunk_bytes,
                         .peer = call.peer});
}

void combine(DType dtype, ReduceOp op, const void* a, const void* b, void* y, int64_t n) {
  const bool sum = op == ReduceOp::sum;
  if (dtype == DType::fp32) {
    if (sum) {
      sum_fp32(static_cast<const float*>(a), static_cast<const float*>(b), static_cast<float*>(y), n);
    } else {
      max_of<float>(a, b, y, n);
    }
  } else if (dtype == DType::bf16) {
    if (sum) {
      sum_bf16(static_cast<const bf16*>(a), static_cast<const bf16*>(b), static_cast<bf16*>(y), n);
    } else {
      max_of<bf16>(a, b, y, n);
    }
  } else if (dtype == DType::fp64) {
    if (sum) {
      sum_fp64(static_cast<const double*>(a), static_cast<const double*>(b), static_cast<double*>(y), n);
    } else {
      max_of<double>(a, b, y, n);
    }
  } else if (sum) {
    sum_i64(static_cast<const int64_t*>(a), static_cast<const int64_t*>(b), static_cast<int64_t*>(y), n);
  } else {
    max_of<int64_t>(a, b, y, n);
  }
}

std::string_view name(ReduceOp op) {
  return op == ReduceOp::sum ? "sum" : "max";
}

}  // namespace trireme::runtime
