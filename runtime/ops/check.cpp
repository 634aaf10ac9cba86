#include "runtime/ops/check.h"

#include <string>

#include "runtime/error.h"

namespace trireme::runtime {

void check_operand(std::string_view op, std::string_view operand, const ConstView& view, DType dtype,
                   const Shape& shape) {
  if (view.dtype == dtype && view.shape == shape) return;
  throw Error(ErrorKind::internal, std::string(op) + ": " + std::string(operand) + " is " + to_string(view.shape) +
                                       " " + std::string(name(view.dtype)) + ", expected " + to_string(shape) + " " +
                                       std::string(name(dtype)));
}

void check_rank(std::string_view op, std::string_view operand, const ConstView& view, int rank) {
  if (view.shape.rank() == rank) return;
  throw Error(ErrorKind::internal, std::string(op) + ": " + std::string(operand) + " is " + to_string(view.shape) +
                                       " " + std::string(name(view.dtype)) + ", expected " + std::to_string(rank) +
                                       (rank == 1 ? " axis" : " axes"));
}

DType storage_of(std::string_view op, std::string_view operand, const ConstView& view) {
  if (view.dtype == DType::fp32 || view.dtype == DType::bf16) return view.dtype;
  throw Error(ErrorKind::internal, std::string(op) + ": " + std::string(operand) + " is " + to_string(view.shape) +
                                       " " + std::string(name(view.dtype)) + ", expected fp32 or bf16");
}

}  // namespace trireme::runtime
