// The common cases on the world that mpirun made: each rank is a stage.
#include "tests/mpi_world.h"
#include "tests/parallel/pipeline_worlds.h"

namespace trireme::parallel {

void on_each_pipeline(const std::function<void(runtime::Communicator&)>& body) {
  body(tests::mpi_world());
}

}  // namespace trireme::parallel
