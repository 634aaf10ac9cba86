// How linear layers choose their algorithms, through the emulation: its cuBLASLt offers three, which add up in
// different orders.
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <memory>
#include <regex>
#include <string>

#include "runtime/cuda/linear_plans.cuh"
#include "runtime/cuda/product_cache.h"
#include "runtime/cuda/product_tuning.cuh"
#include "runtime/cuda/queue.cuh"
#include "runtime/files.h"
#include "runtime/ops/column_sums_cuda.cuh"
#include "runtime/ops/linear.h"
#include "runtime/ops/linear_cuda.h"
#include "tests/emulation/emulation.h"
#include "tests/reference/op_runs.h"
#include "tests/reference/product.h"
#include "tests/temporary_directory.h"

namespace trireme::runtime::cuda {
namespace {

using tests::Factor;
using tests::poisoned;
using tests::product_reference;
using tests::Random;
using tests::relative_error;
using tests::same_bits;
using tests::Tensor;

constexpr int64_t kN = 37;
constexpr int64_t kIn = 40;
constexpr int64_t kOut = 48;

class ProductTuning : public testing::Test {
 protected:
  void SetUp() override { tests::scratch(); }  // allocated before a test forbids it

  /// A queue that keeps its choices in this test's directory.
  Stream open() {
    Stream stream(Device::cuda);
    stream.queue().linear_plans = std::make_shared<LinearPlans>(real_files(), directory(), 0);
    return stream;
  }
  std::string directory() const { return temporary_ / "cache"; }
  std::string file() const { return directory() + "/products-emulated-gpu-cublaslt-130100.json"; }
  std::string file_text() const { return read_text(real_files(), file()); }
  void replace_in_file(const std::string& pattern, const std::string& by) const {
    const std::string before = file_text();
    const std::string after = std::regex_replace(before, std::regex(pattern), by);
    EXPECT_NE(after, before);
    write_text_atomically(real_files(), file(), after);
  }

  Tensor<bf16> forward(Stream& stream) {
    auto y = poisoned<bf16>({kN, kOut});
    linear_forward(stream, {.x = x_.view(), .weight = weight_.view(), .y = y.view()}, tests::scratch());
    return y;
  }
  struct Gradients {
    Tensor<float> dweight{{kOut, kIn}};
    Tensor<float> dbias{{kOut}, 2.0f};
  };
  Gradients backward(Stream& stream) {
    Gradients gradients;
    linear_backward_weight(stream, dy_.view(), x_.view(), gradients.dweight.view(), gradients.dbias.view(),
                           tests::scratch());
    return gradients;
  }
  void expect_right(const Tensor<bf16>& y) {
    EXPECT_LE(relative_error(y, product_reference(kN, kOut, kIn, Factor<bf16>{x_.values, kIn, 1},
                                                  Factor<bf16>{weight_.values, 1, kIn})),
              tests::kStorageTolerance<bf16>);
  }
  void expect_right(const Gradients& gradients) {
    EXPECT_LE(relative_error(gradients.dweight, product_reference(kOut, kIn, kN, Factor<bf16>{dy_.values, 1, kOut},
                                                                  Factor<bf16>{x_.values, kIn, 1})),
              tests::kStorageTolerance<float>);
    std::vector<double> sums(kOut, 2.0);
    for (int64_t i = 0; i < kN * kOut; ++i) sums[static_cast<size_t>(i % kOut)] += dy_[i];
    EXPECT_LE(relative_error(gradients.dbias, sums), tests::kStorageTolerance<float>);
  }
  /// Kernels that `action` ran; products are none.
  template <typename Action>
  int64_t kernels(Action&& action) {
    const int64_t before = emulation::kernels_run();
    action();
    return emulation::kernels_run() - before;
  }

  tests::TemporaryDirectory temporary_;
  Random random_;
  Tensor<bf16> x_ = random_.normals<bf16>({kN, kIn});
  Tensor<bf16> weight_ = random_.normals<bf16>({kOut, kIn});
  Tensor<bf16> dy_ = random_.normals<bf16>({kN, kOut});
};

TEST_F(ProductTuning, TheFirstCallChoosesAndEveryLaterQueueFollows) {
  Stream first = open();
  Tensor<bf16> y({kN, kOut});
  EXPECT_EQ(kernels([&] { y = forward(first); }), 3);  // what fills operands to time with
  expect_right(y);
  EXPECT_EQ(kernels([&] { EXPECT_TRUE(same_bits(forward(first), y)); }), 0);
  Stream second = open();
  EXPECT_EQ(kernels([&] { EXPECT_TRUE(same_bits(forward(second), y)); }), 0);
}

TEST_F(ProductTuning, OfTwoQueuesThatChooseAtOnceTheFirstDecides) {
  Stream first = open();
  Stream second = open();  // has read what there was: nothing
  const Tensor<bf16> y = forward(first);
  const std::string text = file_text();
  EXPECT_TRUE(same_bits(forward(second), y));
  EXPECT_EQ(file_text(), text);
}

TEST_F(ProductTuning, AnAlgorithmThatTheLibraryRefusesIsChosenAgain) {
  {
    Stream stream = open();
    forward(stream);
  }
  replace_in_file(R"("algorithm":\["[0-9a-f]+")", R"("algorithm":["deadbeef")");
  testing::internal::CaptureStderr();
  Stream stream = open();
  expect_right(forward(stream));
  const std::string said = testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("names an algorithm that cuBLASLt refuses (forward bf16 N37 in40 out48"), std::string::npos)
      << said;
  EXPECT_EQ(file_text().find("deadbeef"), std::string::npos);
}

TEST_F(ProductTuning, ARecordingTakesTheFirstAlgorithmUntilACallOutsideChooses) {
  Stream stream = open();
  auto y = poisoned<bf16>({kN, kOut});
  begin_recording(stream.queue());
  EXPECT_EQ(kernels([&] {
              linear_forward(stream, {.x = x_.view(), .weight = weight_.view(), .y = y.view()}, tests::scratch());
            }),
            0);
  const CudaRecordingPointer recording = end_recording(stream.queue());
  EXPECT_FALSE(std::filesystem::exists(file()));
  replay(stream.queue(), *recording);
  stream.wait();
  expect_right(y);
  expect_right(forward(stream));
  EXPECT_TRUE(std::filesystem::exists(file()));
}

TEST_F(ProductTuning, ARecordingTakesWhatIsKnown) {
  Tensor<bf16> expected({kN, kOut});
  {
    Stream stream = open();
    expected = forward(stream);
  }
  Stream stream = open();
  auto y = poisoned<bf16>({kN, kOut});
  begin_recording(stream.queue());
  linear_forward(stream, {.x = x_.view(), .weight = weight_.view(), .y = y.view()}, tests::scratch());
  const CudaRecordingPointer recording = end_recording(stream.queue());
  replay(stream.queue(), *recording);
  stream.wait();
  EXPECT_TRUE(same_bits(y, expected));
}

TEST_F(ProductTuning, BothWaysToABiasGradientAreRight) {
  {
    Stream stream = open();
    expect_right(backward(stream));
  }
  const struct {
    const char* way;
    int64_t kernels;
  } ways[] = {{"product", 1}, {"columns", 2}};  // besides the product: an addition; two steps of sums
  for (const auto& [way, count] : ways) {
    SCOPED_TRACE(way);
    write_text_atomically(real_files(), file(),
                          std::regex_replace(file_text(), std::regex("product\",\"micro|columns\",\"micro"),
                                             std::string(way) + "\",\"micro"));
    Stream stream = open();
    EXPECT_EQ(kernels([&] { expect_right(backward(stream)); }), count);
  }
}

TEST_F(ProductTuning, WithoutMemoryToTimeInTheFirstAlgorithmIsTaken) {
  Stream stream = open();
  auto result = poisoned<bf16>({kN, kOut});
  Gradients gradients;
  emulation::set_device_memory(emulation::device_bytes_in_use());
  linear_forward(stream, {.x = x_.view(), .weight = weight_.view(), .y = result.view()}, tests::scratch());
  linear_backward_weight(stream, dy_.view(), x_.view(), gradients.dweight.view(), gradients.dbias.view(),
                         tests::scratch());
  emulation::set_device_memory(int64_t{4} << 30);
  expect_right(result);
  expect_right(gradients);
  EXPECT_EQ(cudaGetLastError(), cudaSuccess);
  // Kept as one that was not timed, so that a resume with more memory has the same bits.
  EXPECT_NE(file_text().find("backward_weight_bias bf16 N37 in40 out48 aligned256"), std::string::npos) << file_text();
}

TEST_F(ProductTuning, AlignmentOfTheOperandsIsPartOfTheKey) {
  Stream stream = open();
  constexpr int64_t kWide = 33;
  const auto x = random_.normals<bf16>({kN + 1, kWide});
  const auto dy = random_.normals<bf16>({kN, kOut});
  Tensor<float> dweight({kOut, kWide});
  // Rows of an odd width: aligned to an element only, beside fp32 gradients.
  linear_backward_weight(stream, dy.view(), x.view().rows(1, kN), dweight.view(), View(), tests::scratch());
  EXPECT_LE(
      relative_error(dweight, product_reference(kOut, kWide, kN, Factor<bf16>{dy.values, 1, kOut},
                                                Factor<bf16>{{x.values.data() + kWide, size_t{kN * kWide}}, kWide, 1})),
      tests::kStorageTolerance<float>);
  EXPECT_NE(file_text().find("backward_weight bf16 N37 in33 out48 aligned2\""), std::string::npos) << file_text();
}

TEST_F(ProductTuning, ABiasThatStandsInTheResultIsRoundedWithTheProduct) {
  Stream stream = open();
  const auto bias = random_.normals<bf16>({kOut}, 100.0f);
  auto with_epilogue = poisoned<bf16>({kN, kOut});
  auto onto = poisoned<bf16>({kN, kOut});
  const LinearScratch scratch{tests::scratch().allocate(DType::u8, {linear_scratch_bytes(0)}).data, nullptr};
  ProductKey key{ProductKind::forward_bias, DType::bf16, kN, kIn, kOut, 2};
  LinearPlans& plans = linear_plans(stream.queue());
  plans.plan(stream.queue(), key, scratch)
      .run(stream.queue(), {x_.values.data(), weight_.values.data(), with_epilogue.values.data(), bias.values.data()},
           scratch.workspace);
  key.kind = ProductKind::forward_onto;
  copy_to_rows(stream.queue(), bias.view(), onto.view());
  plans.plan(stream.queue(), key, scratch)
      .run(stream.queue(), {x_.values.data(), weight_.values.data(), onto.values.data()}, scratch.workspace);
  stream.wait();
  tests::scratch().reset();
  std::vector<double> expected =
      product_reference(kN, kOut, kIn, Factor<bf16>{x_.values, kIn, 1}, Factor<bf16>{weight_.values, 1, kIn});
  for (int64_t i = 0; i < kN * kOut; ++i) expected[static_cast<size_t>(i)] += bias[i % kOut];
  // One rounding is 2^-9 at most of each value; two would be more for values just above a power of two.
  for (int64_t i = 0; i < kN * kOut; ++i) {
    const double value = expected[static_cast<size_t>(i)];
    EXPECT_NEAR(with_epilogue[i], value, std::abs(value) * 0x1p-8 + 1e-3) << i;
    EXPECT_NEAR(onto[i], value, std::abs(value) * 0x1p-8 + 1e-3) << i;
  }
}

}  // namespace
}  // namespace trireme::runtime::cuda
