// A step of two shards with tensors of fp32 and of bf16 whose values are known, for what other people's tools read.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

namespace trireme::tests {

/// Parameters a.bf16 (5, 6), b.fp32 (3, 4), c.fp32 (2, 3, 4), d.bf16 (7), e.wide (300, 130) in fp32, which is larger
/// than a page, and an exp_avg of b.fp32. Element i of the first four is value(i); e.wide and the moments have all
/// kinds of bits, NaN among them.
class MixedSample {
 public:
  /// Saves it as step 1 in `checkpoints_directory`, cut by rows among two ranks.
  explicit MixedSample(const std::string& checkpoints_directory);

  /// Exact in bf16: -4, -3.625, ...
  static float value(size_t i) { return static_cast<float>(i) * 0.375f - 4.0f; }

  std::string step_directory;
  std::map<std::string, std::string> elements;  ///< "parameter/a.bf16" to its bytes, row-major
};

}  // namespace trireme::tests
