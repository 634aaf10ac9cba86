// What the good steps before this one were like, and above what a step is an outlier by them: rule and window are those
// of OLMo-core's SkipStepOptimizer (github.com/allenai/OLMo-core, whose default is 6 standard deviations), but skipped
// steps do not count. A pure function of what was added: ranks with the same steps agree to the bit.
#pragma once

#include <cstdint>
#include <deque>

#include "runtime/ops/adamw.h"

namespace trireme::model {

class StepHistory {
 public:
  static constexpr size_t kWindow = 128;
  /// Fewer say too little about what is usual: nothing is an outlier then.
  static constexpr size_t kFewest = 32;

  struct Step {
    double loss = 0;
    double grad_norm = 0;
  };

  /// A step whose update was made. Only the last kWindow are kept.
  void add(const Step& step);

  /// Mean of the window + sigmas * its standard deviation, of loss and of norm; only upwards is anything an outlier. No
  /// limits with 0 sigmas (off), or before there are kFewest steps.
  runtime::UpdateLimits limits(double sigmas) const;

  /// Oldest first.
  const std::deque<Step>& steps() const { return steps_; }

 private:
  std::deque<Step> steps_;
};

}  // namespace trireme::model
