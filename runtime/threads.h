// How many threads the CPU kernels of the calling thread use: one OpenMP pool, shared with OpenBLAS. Our kernels cut
// their work the same way for every count, so that results do not depend on it, except inside OpenBLAS; the size of
// per-thread scratch does.
#pragma once

#include <cstdint>

namespace trireme::runtime {

/// Threads of the next parallel kernel: `--threads`, else OMP_NUM_THREADS, else the cores this process may use.
int compute_threads();

/// For kernels called by this thread from now on, no other; a thread started later begins with the default again. At
/// least 1. OpenBLAS built on OpenMP takes over this number at each call.
void set_compute_threads(int threads);

/// --threads: sets the number of threads of this rank, OpenBLAS (process-wide) included, and returns it; once, at the
/// start of the program. 0 means OMP_NUM_THREADS, else the cores that this rank may use; ranks of one machine that are
/// bound to no core share them out.
int64_t use_threads(int64_t requested);

/// Ranks on this machine, as the launcher counts them; 1 without a launcher.
int64_t local_ranks();

/// The share of one rank: `cores` divided among `local_ranks` when each of them may run on all cores of the machine.
int64_t cores_of_rank(int64_t cores, int64_t cores_of_machine, int64_t local_ranks);

}  // namespace trireme::runtime
