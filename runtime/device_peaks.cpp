#include "runtime/device_peaks.h"

#include <algorithm>
#include <functional>
#include <limits>

#include "runtime/machine_peaks.h"
#include "runtime/ops/elementwise.h"
#include "runtime/ops/linear.h"
#include "runtime/time_marks.h"

namespace trireme::runtime {
namespace {

constexpr int64_t kCopyBytes = int64_t{2} << 30;
constexpr int64_t kArenaBytes = (int64_t{9} << 29);  // both ends of the copy; the products fit in as much
constexpr int kRounds = 10;
constexpr int kCallsInARound = 5;  // queued without a wait between them

/// Seconds of a call, by the shortest of the rounds after the one that warms up.
double shortest_call(Stream& stream, const std::function<void()>& call) {
  TimeMarks marks(stream);
  double shortest = std::numeric_limits<double>::infinity();
  for (int round = 0; round <= kRounds; ++round) {
    marks.clear();
    marks.mark();
    for (int i = 0; i < kCallsInARound; ++i) call();
    marks.mark();
    stream.wait();
    if (round > 0) shortest = std::min(shortest, marks.seconds(0) / kCallsInARound);
  }
  return shortest;
}

View random_matrix(Stream& stream, Arena& arena, DType storage, int64_t n) {
  const View values = arena.allocate(DType::fp32, {n, n});
  fill_normal(stream, {.seed = 1, .name_hash = static_cast<uint64_t>(arena.used_bytes())}, 0, values);
  if (storage == DType::fp32) return values;
  const View rounded = arena.allocate(storage, {n, n});
  cast(stream, values, rounded);
  return rounded;
}

/// flop/s of n^3.
double product_rate(Stream& stream, Arena& arena, DType storage, int64_t n) {
  arena.reset();
  const LinearForward args{.x = random_matrix(stream, arena, storage, n),
                           .weight = random_matrix(stream, arena, storage, n),
                           .y = arena.allocate(storage, {n, n})};
  const ProductShape shape{.N = n, .C_in = n, .C_out = n};
  return static_cast<double>(product_flops(shape)) /
         shortest_call(stream, [&] { linear_forward(stream, args, arena); });
}

}  // namespace

DevicePeaks measure_device_peaks(Stream& stream) {
  Arena arena = Arena::on(stream.device(), "peaks", kArenaBytes);
  DevicePeaks peaks;
  const View from = arena.allocate(DType::fp32, {kCopyBytes / 4});
  const View to = arena.allocate(DType::fp32, {kCopyBytes / 4});
  fill_normal(stream, {.seed = 1}, 0, from);
  peaks.copy_bytes = 2 * static_cast<double>(kCopyBytes) / shortest_call(stream, [&] {
                       cuda::copy_on_device(stream.queue(), from.data, to.data, kCopyBytes);
                     });
  peaks.product_flops = product_rate(stream, arena, DType::bf16, 8192);
  peaks.fp32_product_flops = product_rate(stream, arena, DType::fp32, 4096);
  return peaks;
}

}  // namespace trireme::runtime
