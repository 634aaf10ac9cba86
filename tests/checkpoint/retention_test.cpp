#include "checkpoint/retention.h"

#include <gtest/gtest.h>

#include "checkpoint/load.h"
#include "checkpoint/verify.h"
#include "runtime/error.h"
#include "tests/checkpoint/sample.h"
#include "tests/temporary_directory.h"

namespace trireme::checkpoint {
namespace {

using runtime::real_files;
using tests::save_sample;
using Names = std::vector<std::string>;
using Steps = std::vector<int64_t>;

TEST(StepDirectory, NamesAndStepsAreOneToOne) {
  EXPECT_EQ(step_directory("c", 1200), "c/step-000001200");
  EXPECT_EQ(step_directory("c", 12345678901), "c/step-12345678901");
  for (int64_t step : {int64_t{0}, int64_t{7}, int64_t{999999999}, int64_t{12345678901}}) {
    EXPECT_EQ(step_of_name(step_directory("c", step).substr(2)), step);
  }
  for (const char* name : {"step-", "step-7", "step-0000000007", "step-000000007.tmp-1", "step--00000007",
                           "step-00000000x", "trash-step-000000007", "manifest.json"}) {
    EXPECT_EQ(step_of_name(name), std::nullopt) << name;
  }
}

TEST(Retention, KeepsTheNewest) {
  const tests::TemporaryDirectory directory;
  for (int64_t step : {5, 900, 1000, 20}) save_sample(directory.path(), step, 1);
  real_files().make_directory(directory / "trash-step-000000005/debris");  // of a deletion that was cut short
  keep_last(real_files(), directory.path(), 0);
  EXPECT_EQ(committed_steps(real_files(), directory.path()), (Steps{5, 20, 900, 1000}));
  keep_last(real_files(), directory.path(), 2);
  EXPECT_EQ(tests::entries(directory.path()), (Names{"step-000000900", "step-000001000"}));
  EXPECT_EQ(verify(real_files(), step_directory(directory.path(), 900)), Names{});
  keep_last(real_files(), directory.path(), 5);
  EXPECT_EQ(committed_steps(real_files(), directory.path()), (Steps{900, 1000}));
  try {
    keep_last(real_files(), directory.path(), -1);
    ADD_FAILURE() << "no error";
  } catch (const runtime::Error& error) {  // the option is checked by whoever has options
    EXPECT_EQ(error.kind(), runtime::ErrorKind::internal);
  }
  EXPECT_EQ(committed_steps(real_files(), directory.path()), (Steps{900, 1000}));
}

TEST(Retention, NewerStepsGoAsideAndKeepTheirContent) {
  const tests::TemporaryDirectory directory;
  for (int64_t step : {1, 2, 3}) save_sample(directory.path(), step, 1);
  set_aside_newer(real_files(), directory.path(), 1);
  EXPECT_EQ(tests::entries(directory.path()),
            (Names{"aside-step-000000002", "aside-step-000000003", "step-000000001"}));
  EXPECT_EQ(verify(real_files(), directory / "aside-step-000000003"), Names{});
  save_sample(directory.path(), 2, 4);
  set_aside_newer(real_files(), directory.path(), 1);
  EXPECT_EQ(tests::entries(directory.path()),
            (Names{"aside-step-000000002", "aside-step-000000002-2", "aside-step-000000003", "step-000000001"}));
}

}  // namespace
}  // namespace trireme::checkpoint
