// The world of a test that runs under mpirun (tests/mpi_main.cpp opens it).
#pragma once

#include "runtime/communicator.h"
#include "runtime/message_engine.h"

namespace trireme::tests {

/// Short messages, so that small buffers take several.
inline constexpr runtime::MessageOptions kMpiMessages{.chunk_bytes = 4096};

runtime::Communicator& mpi_world();

}  // namespace trireme::tests
