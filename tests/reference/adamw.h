// AdamW in float64, one parameter at a time, as algorithm 2 of arXiv:1711.05101 with the schedule in the learning rate.
#pragma once

#include <cmath>

namespace trireme::tests {

struct NaiveAdamW {
  double learning_rate = 0;
  double beta1 = 0;
  double beta2 = 0;
  double epsilon = 0;
  double weight_decay = 0;
  double gradient_scale = 1;
};

struct NaiveAdamWState {
  double parameter = 0;
  double m = 0;
  double v = 0;
};

inline NaiveAdamWState naive_adamw(const NaiveAdamW& options, NaiveAdamWState state, double gradient, int update) {
  const double g = gradient * options.gradient_scale;
  state.m = options.beta1 * state.m + (1 - options.beta1) * g;
  state.v = options.beta2 * state.v + (1 - options.beta2) * g * g;
  const double m_hat = state.m / (1 - std::pow(options.beta1, update));
  const double v_hat = state.v / (1 - std::pow(options.beta2, update));
  state.parameter -=
      options.learning_rate * (m_hat / (std::sqrt(v_hat) + options.epsilon) + options.weight_decay * state.parameter);
  return state;
}

}  // namespace trireme::tests
