// Messages by MPI: Isend and Irecv on a duplicate of MPI_COMM_WORLD, all from the thread that initialised MPI
// (MPI_THREAD_FUNNELED). Groups, channels and lanes become tags.
#pragma once

#include <memory>

#include "runtime/transport.h"

namespace trireme::runtime {

/// MPI must be initialised. Not before the transport is destroyed may it be finalized.
std::unique_ptr<Transport> mpi_transport();

}  // namespace trireme::runtime
