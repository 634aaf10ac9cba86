#include "runtime/blas_core.h"

#include <cstdlib>
#include <optional>
#include <string>

#include <gtest/gtest.h>

namespace trireme::runtime {
namespace {

TEST(BlasCore, FallBackOnANewProcessorIsReplaced) {
  EXPECT_EQ(better_blas_core("Prescott", {.v3 = true, .v4 = true}), "SkylakeX");
  EXPECT_EQ(better_blas_core("Prescott", {.v3 = true, .v4 = false}), "Haswell");
  EXPECT_EQ(better_blas_core("Prescott", {.v3 = false, .v4 = false}), std::nullopt);
}

TEST(BlasCore, AChoiceThatFitsStays) {
  for (const char* chosen : {"Haswell", "Zen", "SkylakeX", "Cooperlake"}) {
    EXPECT_EQ(better_blas_core(chosen, {.v3 = true, .v4 = true}), std::nullopt) << chosen;
  }
}

TEST(BlasCore, TheUsersChoiceStays) {
  const char* before = std::getenv("OPENBLAS_CORETYPE");
  const std::string kept = before == nullptr ? "" : before;
  setenv("OPENBLAS_CORETYPE", "Prescott", 1);
  EXPECT_EQ(wanted_blas_core(), std::nullopt);
  unsetenv("OPENBLAS_CORETYPE");
  if (before != nullptr) setenv("OPENBLAS_CORETYPE", kept.c_str(), 1);
}

}  // namespace
}  // namespace trireme::runtime
