#include "runtime/cuda_device.h"

#include <gtest/gtest.h>

namespace trireme::runtime {
namespace {

TEST(CudaDevice, DescribesBuildWithoutFailing) {
  const std::string text = cuda_description();
  if (text.starts_with("CUDA runtime ")) {
    EXPECT_NE(text.find("device"), std::string::npos) << text;
  } else {
    EXPECT_EQ(text, "built without CUDA (TRIREME_CUDA=ON turns it on)");
  }
}

}  // namespace
}  // namespace trireme::runtime
