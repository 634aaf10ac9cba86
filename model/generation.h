// Generation of one sequence: a K/V cache, the step that feeds tokens and yields the next token's logits, and sampling
// from them.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/train_step.h"

namespace trireme::model {

/// Feeds tokens one after another (or many at once) through a model and keeps their keys and values.
class Generator {
 public:
  /// The cache holds config.positions tokens; it lies in trainer.memory.persistent.
  explicit Generator(Trainer& trainer);

  /// Logits (V) for the token after `tokens`, which follow all tokens given before. At most positions() - past()
  /// tokens.
  std::span<const float> feed(std::span<const int32_t> tokens);

  int64_t past() const { return past_; }
  int64_t positions() const { return trainer_.config.positions; }
  /// Forgets all tokens.
  void clear() { past_ = 0; }

 private:
  Trainer& trainer_;
  std::vector<KeyValueCache> caches_;
  std::vector<float> logits_;
  int64_t past_ = 0;
};

struct SamplingOptions {
  double temperature = 1;  ///< 0: the most likely token
  int64_t top_k = 0;       ///< keep the k most likely; 0: all
  double top_p = 1;        ///< then keep the fewest whose probabilities sum to at least p
  uint64_t seed = 0;
};

/// The token drawn for place `index` of the sequence: a pure function of (logits, options, index). Ties go to the
/// smaller id.
int32_t sample(std::span<const float> logits, const SamplingOptions& options, int64_t index);

/// Memory of a generator that may be fed all its positions at once.
runtime::MemoryPlan plan_generation(const ModelConfig& config, const Execution& execution);

}  // namespace trireme::model
