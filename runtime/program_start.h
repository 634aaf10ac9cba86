// What must be decided before the program really begins: settings that libraries read from the environment when they
// are loaded, so that main can only set them and start the program again.
//   GOMP_SPINCOUNT     libgomp spins after each parallel region: a hundred times slower on a shared machine
//   OPENBLAS_CORETYPE  OpenBLAS does not know newer processors and takes old kernels for them (blas_core.h)
#pragma once

#include <string>
#include <vector>

namespace trireme::runtime {

/// First line of main. Restarts the program once when a setting is missing; what the user has set (OMP_WAIT_POLICY
/// counts for the spinning) is left alone. When the restart fails the program goes on as it is: slower, not wrong.
void restart_with_library_settings(char** argv);

/// Names of the variables that this program set for itself, by this machine's processor: not for programs elsewhere.
const std::vector<std::string>& own_library_settings();

}  // namespace trireme::runtime
