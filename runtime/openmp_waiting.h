// How OpenMP threads wait, and how many there are. libgomp spins 300,000 rounds after each parallel region, which makes
// a shared machine a hundred times slower; it reads its setting when it is loaded, before main, so the only cure from
// inside the program is to start it again with the setting in the environment.
#pragma once

#include <cstdint>

namespace trireme::runtime {

/// First line of main. Sets GOMP_SPINCOUNT=1000 and restarts the program once, unless the user set it or
/// OMP_WAIT_POLICY. When the restart fails the program goes on as it is: slower, not wrong.
void restart_with_short_openmp_spin(char** argv);

/// Sets the number of threads of this rank's parallel regions and returns it. 0 means OMP_NUM_THREADS, else the cores
/// that this rank may use; ranks of one machine that are bound to no core share them out.
int64_t use_threads(int64_t requested);

/// The share of one rank: `cores` divided among `local_ranks` when each of them may run on all cores of the machine.
int64_t cores_of_rank(int64_t cores, int64_t cores_of_machine, int64_t local_ranks);

}  // namespace trireme::runtime
