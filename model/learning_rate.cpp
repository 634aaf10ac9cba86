#include "model/learning_rate.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

namespace trireme::model {
namespace {

constexpr std::array<std::string_view, 4> kNames = {"constant", "linear", "cosine", "wsd"};

/// 1 at the start of the decay, 0 at its end.
double decay_factor(Schedule schedule, double progress) {
  switch (schedule) {
    case Schedule::constant:
      return 1;
    case Schedule::linear:
      return 1 - progress;
    case Schedule::cosine:
      return 0.5 * (1 + std::cos(std::numbers::pi * progress));
    case Schedule::wsd: {
      constexpr double kDecayShare = 0.2;
      return std::min(1.0, (1 - progress) / kDecayShare);
    }
  }
  return 1;
}

}  // namespace

std::optional<Schedule> schedule_from_name(std::string_view name) {
  const auto found = std::ranges::find(kNames, name);
  if (found == kNames.end()) return std::nullopt;
  return static_cast<Schedule>(found - kNames.begin());
}

std::string_view name(Schedule schedule) {
  return kNames[static_cast<size_t>(schedule)];
}

double learning_rate_at(const LearningRate& options, int64_t step) {
  if (step < options.warmup_steps) {
    return options.peak * static_cast<double>(step + 1) / static_cast<double>(options.warmup_steps + 1);
  }
  const int64_t decay_steps = std::max<int64_t>(1, options.steps - options.warmup_steps);
  const double progress =
      std::min(1.0, static_cast<double>(step - options.warmup_steps) / static_cast<double>(decay_steps));
  if (options.schedule == Schedule::constant) return options.peak;
  return options.minimum + decay_factor(options.schedule, progress) * (options.peak - options.minimum);
}

}  // namespace trireme::model
