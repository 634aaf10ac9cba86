#include "runtime/processor.h"

#include <gtest/gtest.h>

#include "runtime/blas_core.h"

namespace trireme::runtime {
namespace {

TEST(Processor, WithoutAvx2IsRefusedInOneLine) {
  EXPECT_EQ(why_not_here("Old Processor", {.avx2 = false}),
            "this processor (Old Processor) lacks AVX2, which trireme needs");
  EXPECT_EQ(why_not_here("New Processor", {.avx2 = true}), std::nullopt);
}

TEST(Processor, HasANameAndCores) {
  EXPECT_FALSE(processor_name().empty());
  EXPECT_NE(processor_name().front(), ' ');
  EXPECT_GE(processor_cores(), 1);
  EXPECT_TRUE(instruction_sets().avx2 || !vector_support().avx2);  // x86-64-v3 includes AVX2
}

}  // namespace
}  // namespace trireme::runtime
