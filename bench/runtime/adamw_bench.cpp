#include "runtime/ops/adamw.h"

#include "runtime/ops/elementwise.h"
#include "bench/runtime/op_bench.h"

namespace trireme::runtime {
namespace {

/// bf16: fp32 masters with a twin for the layers.
void adamw_bench(benchmark::State& state, DType storage) {
  const int64_t n = state.range(0);
  Operands operands(DType::fp32);
  Stream stream(Device::cpu);
  AdamWViews views{.parameter = operands.make({n}),
                   .gradient = operands.make({n}),
                   .m = operands.make({n}),
                   .v = operands.make({n})};
  if (storage == DType::bf16) views.compute = operands.make({n}, DType::bf16);
  fill(stream, views.v, 1);
  // The op leaves a gradient of 0, so that usual betas would bring m to denormals, which are far slower, within 900
  // calls. These lose a thousandth in 1,000; the bias corrections are 1.
  constexpr float kBeta = 1 - 0x1p-20f;
  const AdamWStep step{.learning_rate = 1e-3f, .beta1 = kBeta, .beta2 = kBeta, .update = int64_t{1} << 30};
  run(state, stream, [&] { adamw_update(stream, step, views); });
}

}  // namespace

void add_adamw_benches() {
  add_benches("adamw_update", adamw_bench, {{"n"}, {{3 << 18}, {1 << 24}}});
}

}  // namespace trireme::runtime
