// The cases in communicator_cases.cpp run on worlds of threads in one executable and on an MPI world in another.
#pragma once

#include <cstdint>
#include <functional>

#include "runtime/communicator.h"

namespace trireme::runtime {

/// Of every world: small, so that the cases go through many chunks.
inline constexpr int64_t kTestChunkBytes = 4096;

/// Calls `body` as every rank of every world that this executable has.
void on_each_world(const std::function<void(Communicator&)>& body);

}  // namespace trireme::runtime
