// Every schedule for 1 to 64 stages, 1 to 256 microbatches and 1 to 4 chunks; schedule_test.cpp has a selection of
// them.
#include <gtest/gtest.h>

#include "tests/parallel/schedule_checks.h"

namespace trireme::parallel {
namespace {

void check_all(ScheduleKind kind, int chunks, bool stages_divide_microbatches) {
  for (int stages = 1; stages <= 64; ++stages) {
    const int step = stages_divide_microbatches ? stages : 1;
    for (int microbatches = step; microbatches <= 256; microbatches += step) {
      ASSERT_EQ(fault_of({kind, stages, chunks, microbatches}, {}), "");
    }
  }
}

TEST(ScheduleGrid, OneFOneB) {
  check_all(ScheduleKind::one_f_one_b, 1, false);
}
TEST(ScheduleGrid, InterleavedOfTwoChunks) {
  check_all(ScheduleKind::one_f_one_b, 2, true);
}
TEST(ScheduleGrid, InterleavedOfThreeChunks) {
  check_all(ScheduleKind::one_f_one_b, 3, true);
}
TEST(ScheduleGrid, InterleavedOfFourChunks) {
  check_all(ScheduleKind::one_f_one_b, 4, true);
}
TEST(ScheduleGrid, ZeroBubble) {
  check_all(ScheduleKind::zb_h1, 1, false);
}
TEST(ScheduleGrid, GPipe) {
  check_all(ScheduleKind::gpipe, 1, false);
}
TEST(ScheduleGrid, GPipeOfTwoChunks) {
  check_all(ScheduleKind::gpipe, 2, false);
}
TEST(ScheduleGrid, GPipeOfThreeChunks) {
  check_all(ScheduleKind::gpipe, 3, false);
}
TEST(ScheduleGrid, GPipeOfFourChunks) {
  check_all(ScheduleKind::gpipe, 4, false);
}

}  // namespace
}  // namespace trireme::parallel
