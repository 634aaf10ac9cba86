#include "runtime/threads.h"

#include <thread>

#include <cblas.h>
#include <gtest/gtest.h>

namespace trireme::runtime {
namespace {

TEST(Threads, UnboundRanksShareTheMachine) {
  EXPECT_EQ(cores_of_rank(8, 8, 1), 8);
  EXPECT_EQ(cores_of_rank(8, 8, 2), 4);
  EXPECT_EQ(cores_of_rank(2, 2, 4), 1);
}

TEST(Threads, BoundRankKeepsItsCores) {
  EXPECT_EQ(cores_of_rank(1, 8, 2), 1);
  EXPECT_EQ(cores_of_rank(4, 8, 2), 4);
}

TEST(Threads, RequestIsTaken) {
  EXPECT_EQ(use_threads(3), 3);
  EXPECT_GE(use_threads(0), 1);
}

TEST(Threads, CountOfAThreadIsItsOwn) {
  use_threads(3);
  int inside = 0;
  std::thread([&] {
    set_compute_threads(2);
    inside = compute_threads();
  }).join();
  EXPECT_EQ(inside, 2);
  EXPECT_EQ(compute_threads(), 3);
  EXPECT_EQ(openblas_get_num_threads(), 3);  // belongs to the process, so no thread may change it for the others
  use_threads(0);
}

}  // namespace
}  // namespace trireme::runtime
