// What tests can set and ask of the host emulation of CUDA: the order of threads, the size of the device, barriers to
// leave out, bank conflicts counted. The code under test needs none of it: it includes <cuda_runtime.h>.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::emulation {

/// forward, reverse: warp after warp from the first (the last), each as far as it gets, lanes likewise; blocks in the
/// same direction. shuffled: blocks, warps and lanes at random, other ones at every barrier.
enum class ThreadOrder { forward, reverse, shuffled };

/// For the work executed from now on. At start: the environment's TRIREME_EMULATION_ORDER ("forward", "reverse",
/// "shuffled" or "shuffled:SEED"), else forward.
void set_thread_order(ThreadOrder order, uint64_t seed = 1);

/// The sites, as "file:line", of the __syncthreads calls executed since the start or the last forget_barriers().
std::vector<std::string> barrier_sites();
void forget_barriers();

/// From now on threads pass the __syncthreads at this site without waiting: a kernel without one of its barriers.
/// Empty: no site (again).
void ignore_barrier(std::string_view site);

/// Memory of each device; 4 GiB at start. cudaMalloc beyond it fails.
void set_device_memory(int64_t bytes);
/// Bytes that cudaMalloc and cudaMallocManaged have given and that are not freed, over all devices.
int64_t device_bytes_in_use();

/// Extra passes over the banks of shared memory that the ldmatrix executed so far would take, 0 where no two of the
/// eight rows of a matrix meet in a bank.
int64_t bank_conflicts();
void reset_bank_conflicts();

/// Kernels, copies and fills executed so far.
int64_t kernels_run();

}  // namespace trireme::emulation
