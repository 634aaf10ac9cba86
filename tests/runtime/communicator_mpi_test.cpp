// The common cases on the world that mpirun made, and what only MPI has.
#include <cstdlib>

#include <gtest/gtest.h>

#include "runtime/error.h"
#include "runtime/mpi_session.h"
#include "tests/mpi_world.h"
#include "tests/runtime/communicator_worlds.h"

namespace trireme::runtime {

void on_each_world(const std::function<void(Communicator&)>& body) {
  body(tests::mpi_world());
}

namespace {

TEST(MpiSession, KnowsItsLauncher) {
  EXPECT_TRUE(started_by_launcher());
  const char* size = std::getenv("OMPI_COMM_WORLD_SIZE");
  ASSERT_NE(size, nullptr);
  EXPECT_EQ(tests::mpi_world().size(), std::atoi(size));
  EXPECT_NO_THROW(check_launcher_size(tests::mpi_world().size()));
}

TEST(MpiTransport, ManyGroupsHaveTags) {
  Communicator& world = tests::mpi_world();
  for (int i = 0; i < 100; ++i) {
    std::vector<int64_t> one = {1};
    const auto group = world.split(0, world.rank(), "again");
    group->all_reduce(view_of(std::span<int64_t>(one), {1}), ReduceOp::sum).wait();
    ASSERT_EQ(one[0], world.size());
  }
}

}  // namespace
}  // namespace trireme::runtime
