// Without a launcher: whoever runs this test started it alone.
#include "runtime/mpi_session.h"

#include <cstdlib>
#include <string>

#include <gtest/gtest.h>

#include "runtime/error.h"

namespace trireme::runtime {
namespace {

const char* const kLauncherVariables[] = {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK",   "PMI_RANK", "PMI_SIZE",
                                          "SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"};

class MpiSessionAlone : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* variable : kLauncherVariables) unsetenv(variable);
  }
  void TearDown() override { SetUp(); }
};

TEST_F(MpiSessionAlone, IsAWorldOfOne) {
  EXPECT_FALSE(started_by_launcher());
  MpiSession session;
  EXPECT_EQ(session.world().size(), 1);
  EXPECT_EQ(session.local_rank(), 0);
  EXPECT_EQ(session.local_size(), 1);
  EXPECT_NO_THROW(check_launcher_size(1));
}

TEST_F(MpiSessionAlone, TasksThatDoNotSeeEachOtherAreRefused) {
  setenv("SLURM_NTASKS", "8", 1);  // set in every batch script: says nothing about this process
  EXPECT_NO_THROW(check_launcher_size(1));
  setenv("SLURM_STEP_NUM_TASKS", "1", 1);
  EXPECT_NO_THROW(check_launcher_size(1));
  setenv("SLURM_STEP_NUM_TASKS", "4", 1);
  EXPECT_NO_THROW(check_launcher_size(4));
  try {
    check_launcher_size(1);
    FAIL() << "four worlds of one must not train";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::usage);
    EXPECT_NE(std::string(error.what()).find("SLURM_STEP_NUM_TASKS=4"), std::string::npos);
    EXPECT_NE(std::string(error.what()).find("srun --mpi=pmix"), std::string::npos);
  }
}

}  // namespace
}  // namespace trireme::runtime
