// The world of a test that runs under mpirun (tests/mpi_main.cpp opens it).
#pragma once

#include "runtime/communicator.h"

namespace trireme::tests {

runtime::Communicator& mpi_world();

}  // namespace trireme::tests
