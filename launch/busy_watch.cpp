#include "launch/busy_watch.h"

#include <algorithm>
#include <cmath>

#include "runtime/flight_recorder.h"
#include "runtime/host_name.h"

namespace trireme::launch {
namespace {

constexpr int64_t kLeastSteps = 10;
constexpr int64_t kMostSteps = 4096;  // whose times are kept
constexpr double kIntervalSeconds = 1;

static_assert(sizeof(BusyTimes) == 5 * sizeof(double));  // it is sent as an array of them

runtime::View view_of_times(BusyTimes* times, size_t count) {
  return {{times, runtime::DType::fp64, {5 * static_cast<int64_t>(count)}}};
}

/// The value with a share of `part` of the others below it.
double quantile(std::vector<double>& values, double part) {
  const auto place = values.begin() + static_cast<std::ptrdiff_t>(part * static_cast<double>(values.size()));
  std::ranges::nth_element(values, place);
  return *place;
}

}  // namespace

BusyWatch::BusyWatch(runtime::Communicator& world, int stage, int64_t log_every)
    : world_(world),
      stage_(stage),
      log_every_(log_every),
      interval_steps_(kLeastSteps),
      all_(static_cast<size_t>(world.size())),
      slow_ranks_(runtime::all_gather_bytes(world, runtime::host_name())) {
  busy_.reserve(static_cast<size_t>(kMostSteps));
}

void BusyWatch::begin_step(const runtime::Stream& stream) {
  waited_before_ = world_.recorder()->waited_seconds();
  flops_before_ = stream.costs().sum().flops;
}

BusyTimes BusyWatch::own_times() {
  return {.seconds = quantile(busy_, 0.5),
          .low_seconds = quantile(busy_, 0.25),
          .flops = static_cast<double>(flops_),
          .stage = static_cast<double>(stage_),
          .step_seconds = step_seconds_ / static_cast<double>(steps_)};
}

std::optional<BusyVerdict> BusyWatch::end_step(const runtime::Stream& stream, int64_t step, double step_seconds) {
  flops_ = stream.costs().sum().flops - flops_before_;
  const double busy_seconds = step_seconds - (world_.recorder()->waited_seconds() - waited_before_);
  if (steps_ < kMostSteps) {
    busy_.push_back(busy_seconds);
  } else {
    busy_[static_cast<size_t>(steps_ % kMostSteps)] = busy_seconds;
  }
  step_seconds_ += step_seconds;
  ++steps_;
  if (steps_ < interval_steps_ || step % log_every_ != 0) return std::nullopt;

  BusyTimes own = own_times();
  world_.all_gather(view_of_times(&own, 1), view_of_times(all_.data(), all_.size())).wait();
  busy_.clear();
  steps_ = 0;
  step_seconds_ = 0;
  // By rank 0's clock alone: all ranks must meet after the same step again.
  const double steps_of_interval = kIntervalSeconds / std::max(all_.front().step_seconds, 1e-9);
  interval_steps_ = std::clamp(static_cast<int64_t>(std::ceil(steps_of_interval)), kLeastSteps, kMostSteps);
  if (world_.rank() != 0) return std::nullopt;
  return slow_ranks_.judge(all_);
}

}  // namespace trireme::launch
