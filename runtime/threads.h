// How many threads the CPU kernels of the calling thread use: one OpenMP pool, shared with OpenBLAS. Kernels cut their
// work the same way for every count, so that results do not depend on it; only the size of per-thread scratch does.
#pragma once

namespace trireme::runtime {

/// Threads of the next parallel kernel: `--threads`, else OMP_NUM_THREADS, else the cores this process may use.
int compute_threads();

/// For kernels called by this thread from now on; a thread started later begins with the default again. At least 1.
void set_compute_threads(int threads);

}  // namespace trireme::runtime
