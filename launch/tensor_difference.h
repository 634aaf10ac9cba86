// How far apart two tensors are: the arithmetic of `verify`, over plain numbers. It knows no ranks and no models.
#pragma once

#include <cstdint>
#include <span>

namespace trireme::launch {

/// The length and the largest member of a row of numbers, added up piece by piece; not-a-number stays.
struct Extent {
  double squares = 0;  ///< sum of the squares
  double largest = 0;  ///< magnitude

  void add(double value);
  void add(const Extent& other);
  bool operator==(const Extent&) const = default;
};

/// expected and values: n each. Adds the differences.
void add_differences(std::span<const float> values, std::span<const float> expected, Extent& difference);

/// A difference in parts of the size of what should be there, the larger of two: by length (L2), which many small
/// errors show in, and by largest member, which a few large ones do. `floor` is added to the size: tensors that are
/// zero but for rounding (a key bias shifts all scores of a softmax alike) have terms that are not.
double relative_difference(const Extent& difference, const Extent& size, const Extent& floor);

/// AdamW's numbers of one update, as runtime/ops/adamw.h has them.
struct UpdateTerms {
  double learning_rate = 0;
  double m_correction = 1;
  double v_correction = 1;
  double epsilon = 1e-8;
};

/// One element behind an update.
struct UpdatedElement {
  double parameter = 0;
  double m = 0;
  double v = 0;
};

/// How far two parameters are apart beyond what their moments explain, in parts of |parameter| + learning rate. AdamW
/// divides by sqrt(v): a gradient near zero that differs by its rounding alone moves a parameter by a whole learning
/// rate this way or that, so that parameters themselves can be held against no useful bound. But before the update they
/// were equal, and it moved each by learning_rate (u + weight_decay p) with u = m m_correction / (sqrt(v v_correction)
/// + epsilon) of its own moments: what is left of the difference behind learning_rate (u - u') is rounding.
double unexplained_update(const UpdatedElement& value, const UpdatedElement& expected, const UpdateTerms& terms);

}  // namespace trireme::launch
