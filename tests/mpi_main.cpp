// main() of the tests that run under mpirun: every rank runs all tests in the same order. One failing rank fails all;
// an exception ends the job, for the other ranks would wait; so does an alarm when something hangs.
#include <unistd.h>

#include <exception>
#include <iostream>
#include <string>

#include <gtest/gtest.h>

#include "runtime/mpi_session.h"
#include "tests/mpi_world.h"

#if defined(__SANITIZE_ADDRESS__)
// MPI_Finalize unloads modules that have leaked, so that their leaks would have no name to suppress: keep them loaded.
extern "C" int dlclose(void*) {
  return 0;
}
extern "C" const char* __lsan_default_suppressions() {
  return "leak:__vasprintf_internal\nleak:libopen-pal\nleak:libopen-rte\nleak:libmpi\nleak:libpmix\nleak:mca_\n"
         "leak:libhwloc\n";
}
#endif

namespace trireme::tests {
namespace {

runtime::Communicator* world = nullptr;

/// Other ranks than the first print failures only.
class FailurePrinter : public testing::EmptyTestEventListener {
  void OnTestPartResult(const testing::TestPartResult& result) override {
    if (!result.failed()) return;
    std::cerr << "rank " << world->rank() << ": " << (result.file_name() == nullptr ? "" : result.file_name()) << ":"
              << result.line_number() << ": " << result.message() << std::endl;
  }
};

bool any_rank_failed(bool failed) {
  int64_t flag = failed ? 1 : 0;
  world->all_reduce(runtime::view_of(std::span<int64_t>(&flag, 1), {1}), runtime::ReduceOp::max).wait();
  return flag != 0;
}

}  // namespace

runtime::Communicator& mpi_world() {
  return *world;
}

int run(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  GTEST_FLAG_SET(catch_exceptions, false);
  alarm(280);  // below the timeout of ctest, which would leave ranks behind
  runtime::MpiSession session(kMpiMessages);
  world = &session.world();
  if (world->rank() != 0) {
    testing::TestEventListeners& listeners = testing::UnitTest::GetInstance()->listeners();
    delete listeners.Release(listeners.default_result_printer());
    listeners.Append(new FailurePrinter);
  }
  try {
    return any_rank_failed(RUN_ALL_TESTS() != 0) ? 1 : 0;
  } catch (const std::exception& error) {
    std::cerr << "rank " + std::to_string(world->rank()) + ": " + error.what() + "\n";
    session.abort(1);
  }
}

}  // namespace trireme::tests

int main(int argc, char** argv) {
  return trireme::tests::run(argc, argv);
}
