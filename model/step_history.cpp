#include "model/step_history.h"

#include <cmath>

namespace trireme::model {
namespace {

/// In two passes over the window: running sums would lose the deviation of a flat loss to cancellation, and would
/// depend on steps that have left the window. The deviation is that of a sample (n - 1), as in OLMo-core.
float limit(const std::deque<StepHistory::Step>& steps, double StepHistory::Step::*value, double sigmas) {
  const auto n = static_cast<double>(steps.size());
  double sum = 0;
  for (const StepHistory::Step& step : steps) sum += step.*value;
  const double mean = sum / n;
  double squares = 0;
  for (const StepHistory::Step& step : steps) squares += (step.*value - mean) * (step.*value - mean);
  const auto rounded = static_cast<float>(mean + sigmas * std::sqrt(squares / (n - 1)));
  return std::nextafter(rounded, HUGE_VALF);  // upwards: what equals all before it is no outlier
}

}  // namespace

void StepHistory::add(const Step& step) {
  steps_.push_back(step);
  if (steps_.size() > kWindow) steps_.pop_front();
}

runtime::UpdateLimits StepHistory::limits(double sigmas) const {
  if (sigmas == 0 || steps_.size() < kFewest) return {};
  return {.loss = limit(steps_, &Step::loss, sigmas), .grad_norm = limit(steps_, &Step::grad_norm, sigmas)};
}

}  // namespace trireme::model
