#include "runtime/ops/adamw.h"

#include "runtime/ops/elementwise.h"
#include "bench/runtime/op_bench.h"

namespace trireme::runtime {
namespace {

/// bf16: fp32 masters with a twin for the layers.
void adamw_bench(benchmark::State& state, DType storage) {
  const int64_t n = state.range(0);
  run(state, storage, [&](Operands& operands) -> Call {
    Stream& stream = operands.stream();
    AdamWViews views{.parameter = operands.make({n}, DType::fp32),
                     .gradient = operands.make({n}, DType::fp32),
                     .m = operands.make({n}, DType::fp32),
                     .v = operands.make({n}, DType::fp32)};
    if (storage == DType::bf16) views.compute = operands.make({n}, DType::bf16);
    fill(stream, views.v, 1);
    // The op leaves a gradient of 0, so that usual betas would bring m to denormals, which are far slower, within 900
    // calls. These lose a thousandth in 1,000; the bias corrections are 1.
    constexpr float kBeta = 1 - 0x1p-20f;
    const AdamWConstants constants{.beta1 = kBeta, .beta2 = kBeta};
    const View schedule = operands.make({4}, DType::fp32);
    fill(stream, schedule, 1);
    views.schedule = schedule;
    return [=, &stream] { adamw_update(stream, constants, views); };
  });
}

}  // namespace

void add_adamw_benches() {
  // On the GPU a block of gpt2-1558m, and more.
  add_benches("adamw_update", adamw_bench, {{"n"}, {{3 << 18}, {1 << 24}}, {{30'740'800}, {1 << 27}}});
}

}  // namespace trireme::runtime
