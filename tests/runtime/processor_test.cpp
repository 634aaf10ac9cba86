#include "runtime/processor.h"

#include <optional>
#include <string>

#include <gtest/gtest.h>

namespace trireme::runtime {
namespace {

TEST(Processor, WithoutX86V3IsRefusedInOneLineWithTheMend) {
  const std::string mend =
      ", which trireme needs; run it on a processor of 2013 or later, or let the virtual machine pass AVX2 and FMA "
      "through";
  EXPECT_EQ(why_not_here("Old Processor", {.v3 = false, .v4 = false, .missing_v3 = "AVX2, FMA"}),
            "this processor (Old Processor) lacks AVX2, FMA" + mend);
  // Of the instructions before AVX that belong to the level, none is looked at alone.
  EXPECT_EQ(why_not_here("Odd Processor", {.v3 = false, .v4 = false}),
            "this processor (Odd Processor) lacks a part of x86-64-v3" + mend);
  EXPECT_EQ(why_not_here("New Processor", {.v3 = true, .v4 = false}), std::nullopt);
}

TEST(Processor, LevelsIncludeEachOther) {
  const InstructionSets sets = instruction_sets();
  EXPECT_TRUE(sets.v3 || !sets.v4);
  EXPECT_TRUE(sets.missing_v3.empty() || !sets.v3) << sets.missing_v3;
  if (__builtin_cpu_supports("avx2") == 0) {
    EXPECT_NE(sets.missing_v3.find("AVX2"), std::string::npos);
    EXPECT_FALSE(sets.v3);
  }
}

TEST(Processor, HasANameAndCores) {
  EXPECT_FALSE(processor_name().empty());
  EXPECT_NE(processor_name().front(), ' ');
  EXPECT_GE(processor_cores(), 1);
}

}  // namespace
}  // namespace trireme::runtime
