// main of the test programs that need a GPU. Where there is none they exit with 77, which ctest counts as skipped.
#include <gtest/gtest.h>

#include <iostream>
#include <string>

#include "runtime/cuda_queue.h"

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (GTEST_FLAG_GET(list_tests)) return RUN_ALL_TESTS();
  const std::string missing = trireme::runtime::cuda::why_no_device();
  if (!missing.empty()) {
    std::cout << "SKIPPED: tests on the GPU, since " << missing << '\n';
    return 77;
  }
  return RUN_ALL_TESTS();
}
