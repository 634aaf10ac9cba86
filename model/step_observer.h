// Who is told where a step of training stands: a dry run that keeps the account of each action apart, a trace.
#pragma once

namespace trireme::model {

/// A piece of a step on one rank. What belongs to a microbatch has its number, and that of the chunk on this rank; of
/// the rest both are -1.
struct StepPart {
  enum class Kind {
    forward,
    backward,         ///< both parts in one
    backward_input,   ///< the gradient of the input
    backward_weight,  ///< the gradients of the weights
    reduction,        ///< what is left of it behind the last action
    update,           ///< norm, clipping, AdamW
  };
  Kind kind = Kind::forward;
  int chunk = -1;
  int microbatch = -1;
  bool operator==(const StepPart&) const = default;
};

class StepObserver {
 public:
  virtual ~StepObserver() = default;
  /// Parts follow each other and do not nest; what lies between two of them is a pipeline's waiting for messages.
  virtual void begin(const StepPart& part) = 0;
  virtual void end(const StepPart& part) = 0;
};

/// A part lasts as long as this; a null observer is nobody.
class StepPartScope {
 public:
  StepPartScope(StepObserver* observer, const StepPart& part) : observer_(observer), part_(part) {
    if (observer_ != nullptr) observer_->begin(part_);
  }
  ~StepPartScope() {
    if (observer_ != nullptr) observer_->end(part_);
  }
  StepPartScope(const StepPartScope&) = delete;
  StepPartScope& operator=(const StepPartScope&) = delete;

 private:
  StepObserver* observer_;
  StepPart part_;
};

}  // namespace trireme::model
