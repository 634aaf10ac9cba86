// What layer_norm and rms_norm share on the CPU: the residual addition before a row is normalised, and the gradients of
// their parameters, which are sums over rows. It knows neither the statistics of a row nor the formulas of y and dx.
#pragma once

#include <cstdint>

#include "runtime/view.h"

namespace trireme::runtime::cpu {

/// Row i of what is normalised: of sum, where residual + branch is stored first, or of residual without a branch. Norms
/// read only the row that this returns: with bf16 that is the rounded sum, and normalising it again gives the same
/// bits. T is the storage, float or bf16.
template <typename T>
const T* normalised_row(const ConstView& residual, const ConstView& branch, const View& sum, int64_t i);

/// dweight += sum over rows of dy * (x - mean) * rstd and dbias += sum over rows of dy. A norm without mean and bias
/// leaves mean and dbias absent. The same bits for any thread count.
struct NormParameterGradients {
  ConstView dy;  ///< (N, C), of one storage with x
  ConstView x;
  ConstView mean;  ///< (N), as rstd
  ConstView rstd;
  View dweight;  ///< (C), as dbias
  View dbias;
};
void accumulate_norm_parameters(const NormParameterGradients& args);

}  // namespace trireme::runtime::cpu
