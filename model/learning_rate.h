// Learning rate as a pure function of the step.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace trireme::model {

enum class Schedule {
  constant,  ///< the peak after warm-up
  linear,    ///< a line from the peak to the minimum, which would come after the last step
  cosine,    ///< half a cosine from the peak to the minimum (Loshchilov and Hutter 2016, arXiv:1608.03983)
  wsd,       ///< warm-up, stable, then a line to the minimum over the last fifth (Hu et al. 2024, arXiv:2404.06395)
};

std::optional<Schedule> schedule_from_name(std::string_view name);
std::string_view name(Schedule schedule);

struct LearningRate {
  Schedule schedule = Schedule::cosine;
  double peak = 6e-4;
  double minimum = 6e-5;
  int64_t warmup_steps = 0;
  int64_t steps = 1;  ///< horizon
};

/// Of step 0, 1, ... Warm-up: peak * (step + 1) / (warmup_steps + 1).
double learning_rate_at(const LearningRate& options, int64_t step);

}  // namespace trireme::model
