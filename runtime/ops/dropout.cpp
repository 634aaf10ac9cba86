#include "runtime/ops/dropout.h"

#include <string>

#include "runtime/error.h"
#include "runtime/ops/check.h"
#include "runtime/ops/dropout_cpu.h"
#include "runtime/ops/dropout_cuda.h"

namespace trireme::runtime {

void dropout(Stream& stream, const DropoutSite& site, const DropoutRows& rows, ConstView x, View y) {
  constexpr std::string_view op = "dropout";
  check_rank(op, "x", x, 2);
  check_rank(op, "samples", rows.samples, 1);
  const int64_t B = rows.samples.shape[0];
  const DType storage = storage_of(op, "x", x);
  check_operand(op, "samples", rows.samples, DType::i64, {B});
  check_operand(op, "y", y, storage, x.shape);
  if (rows.first_row < 0 || rows.first_row + x.shape[0] > B * rows.T) {
    throw Error(ErrorKind::internal, "dropout: " + std::to_string(x.shape[0]) + " rows from " +
                                         std::to_string(rows.first_row) + ", expected some of " + std::to_string(B) +
                                         " x " + std::to_string(rows.T));
  }
  if (!(site.probability >= 0 && site.probability < 1)) {
    throw Error(ErrorKind::internal,
                "dropout: probability is " + std::to_string(site.probability) + ", expected [0, 1)");
  }

  const int64_t n = x.elements();
  const OpScope scope = stream.dispatch({.op = op, .flops = n, .bytes = x.bytes() + y.bytes() + rows.samples.bytes()});
  switch (stream.device()) {
    case Device::cpu:
      cpu::dropout(site, rows, x, y);
      break;
    case Device::cuda:
      cuda::dropout(stream.queue(), site, rows, x, y);
      break;
    case Device::dry:
      break;
  }
}

}  // namespace trireme::runtime
