#include "runtime/ops/dropout.h"

#include <string>

#include "runtime/error.h"
#include "runtime/ops/check.h"
#include "runtime/ops/dropout_cpu.h"
#include "runtime/ops/dropout_cuda.h"

namespace trireme::runtime {

void dropout(Stream& stream, const DropoutSite& site, ConstView samples, ConstView x, View y) {
  constexpr std::string_view op = "dropout";
  check_rank(op, "x", x, 3);
  const DType storage = storage_of(op, "x", x);
  check_operand(op, "samples", samples, DType::i64, {x.shape[0]});
  check_operand(op, "y", y, storage, x.shape);
  if (!(site.probability >= 0 && site.probability < 1)) {
    throw Error(ErrorKind::internal,
                "dropout: probability is " + std::to_string(site.probability) + ", expected [0, 1)");
  }

  const int64_t n = x.elements();
  const OpScope scope = stream.dispatch({.op = op, .flops = n, .bytes = x.bytes() + y.bytes() + samples.bytes()});
  switch (stream.device()) {
    case Device::cpu:
      cpu::dropout(site, samples, x, y);
      break;
    case Device::cuda:
      cuda::dropout(stream.queue(), site, samples, x, y);
      break;
    case Device::dry:
      break;
  }
}

}  // namespace trireme::runtime
