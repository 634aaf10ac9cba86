#include "runtime/ops/adamw.h"

#include "runtime/ops/adamw_cpu.h"
#include "runtime/ops/check.h"

namespace trireme::runtime {

void adamw_update(Stream& stream, const AdamWStep& step, const AdamWViews& views) {
  constexpr std::string_view op = "adamw_update";
  check_rank(op, "parameter", views.parameter, 1);
  const int64_t n = views.parameter.shape[0];
  check_operand(op, "parameter", views.parameter, DType::fp32, {n});
  check_operand(op, "gradient", views.gradient, DType::fp32, {n});
  check_operand(op, "m", views.m, DType::fp32, {n});
  check_operand(op, "v", views.v, DType::fp32, {n});
  const bool twin = !views.compute.absent();
  if (twin) check_operand(op, "compute", views.compute, DType::bf16, {n});

  const OpScope scope = stream.dispatch({.op = op, .flops = 17 * n, .bytes = (twin ? 34 : 32) * n});
  switch (stream.device()) {
    case Device::cpu:
      cpu::adamw_update(step, views);
      break;
    case Device::dry:
      break;
  }
}

}  // namespace trireme::runtime
