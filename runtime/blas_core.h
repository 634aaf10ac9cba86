// Which kernels OpenBLAS uses. It picks them by the processor's model number when it is loaded, and Debian 12's 0.3.21
// takes SSE3 ones for models that it does not know: 32 instead of 145 Gflop/s a core on a processor with AVX-512. The
// only mend from outside is OPENBLAS_CORETYPE in the environment before the library is loaded, so this is a question
// for the first lines of main, which set it and start the program again.
#pragma once

#include <optional>
#include <string_view>

#include "runtime/processor.h"

namespace trireme::runtime {

/// The core name that suits `instructions` better than `chosen` does ("Prescott"); none when `chosen` is fine.
std::optional<std::string_view> better_blas_core(std::string_view chosen, const InstructionSets& instructions);

/// The value for OPENBLAS_CORETYPE with which the program should start again; none when nothing is to be gained, or
/// when the variable is set already (by the user, or by the first start).
std::optional<std::string_view> wanted_blas_core();

}  // namespace trireme::runtime
