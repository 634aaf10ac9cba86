#include "runtime/ops/dropout.h"

#include <string>

#include "runtime/error.h"
#include "runtime/ops/check.h"
#include "runtime/ops/dropout_cpu.h"

namespace trireme::runtime {

void dropout(Stream& stream, const DropoutSite& site, ConstView samples, ConstView x, View y) {
  constexpr std::string_view op = "dropout";
  check_rank(op, "x", x, 3);
  check_operand(op, "x", x, DType::fp32, x.shape);
  check_operand(op, "samples", samples, DType::i64, {x.shape[0]});
  check_operand(op, "y", y, DType::fp32, x.shape);
  if (!(site.probability >= 0 && site.probability < 1)) {
    throw Error(ErrorKind::internal,
                "dropout: probability is " + std::to_string(site.probability) + ", expected [0, 1)");
  }

  const int64_t n = x.elements();
  const OpScope scope = stream.dispatch({.op = op, .flops = n, .bytes = 8 * n + 8 * x.shape[0]});
  switch (stream.device()) {
    case Device::cpu:
      cpu::dropout(site, samples, x, y);
      break;
    case Device::dry:
      break;
  }
}

}  // namespace trireme::runtime
