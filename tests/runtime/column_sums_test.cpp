// The column sums of linear layers, through the emulation: sizes around vectors, warps, blocks and groups of rows.
#include "runtime/ops/column_sums_cuda.cuh"

#include <gtest/gtest.h>

#include "tests/reference/op_runs.h"
#include "tests/reference/thread_orders.h"

namespace trireme::runtime::cuda {
namespace {

using tests::Random;
using tests::Tensor;

template <typename T>
class ColumnSums : public testing::Test {};
using Storages = testing::Types<float, bf16>;
TYPED_TEST_SUITE(ColumnSums, Storages);

constexpr float kBefore = 50.0f;  // far from 0: a single sum of either sign may cancel to nothing

template <typename T>
Tensor<float> sums_of(ConstView dy) {
  Stream stream(Device::cuda);
  const int64_t C = dy.shape[1];
  Tensor<float> sums({C}, kBefore);
  auto scratch = tests::poisoned({column_sums_scratch(C)});
  add_column_sums(stream.queue(), dy, sums.values.data(), scratch.values.data());
  stream.wait();
  return sums;
}

template <typename T>
std::vector<double> reference(const Tensor<T>& dy, int64_t first_row) {
  const int64_t C = dy.shape[1];
  std::vector<double> sums(static_cast<size_t>(C), kBefore);
  for (int64_t i = first_row * C; i < dy.size(); ++i) sums[static_cast<size_t>(i % C)] += dy[i];
  return sums;
}

TYPED_TEST(ColumnSums, MatchFloat64) {
  using T = TypeParam;
  Random random;
  constexpr int64_t kWidths[] = {1, 7, 8, 31, 32, 33, 128, 129, 256, 264, 520};
  constexpr int64_t kRows[] = {1, 7, 8, 9, 16, 17, 129};
  for (const int64_t C : kWidths) {
    for (const int64_t N : kRows) {
      SCOPED_TRACE(testing::Message() << N << " x " << C);
      const auto dy = random.normals<T>({N, C});
      EXPECT_LE(tests::relative_error(sums_of<T>(dy.view()), reference(dy, 0)), tests::kStorageTolerance<float>);
    }
  }
}

TYPED_TEST(ColumnSums, MatchFloat64ForManyRowsAndMisalignedOnes) {
  using T = TypeParam;
  Random random;
  const auto many = random.normals<T>({3001, 40});  // more rows than groups take at 16 a group
  EXPECT_LE(tests::relative_error(sums_of<T>(many.view()), reference(many, 0)), tests::kStorageTolerance<float>);
  const auto odd = random.normals<T>({40, 65});
  EXPECT_LE(tests::relative_error(sums_of<T>(odd.view().rows(1, 39)), reference(odd, 1)),
            tests::kStorageTolerance<float>);
}

TYPED_TEST(ColumnSums, AreTheSameBitsInEveryOrderOfThreads) {
  using T = TypeParam;
  Random random;
  for (const Shape& shape : {Shape{517, 264}, Shape{133, 77}}) {
    const auto dy = random.normals<T>(shape);
    tests::expect_same_bits_in_every_order([&] { return tests::bits_of(sums_of<T>(dy.view())); });
  }
}

TYPED_TEST(ColumnSums, NeedTheirBarrier) {
  using T = TypeParam;
  Random random;
  const auto dy = random.normals<T>({100, 264});
  tests::expect_each_barrier_needed([&] { return tests::bits_of(sums_of<T>(dy.view())); }, 1);
}

TEST(ColumnSumsScratch, FitsTheWorkspaceOfProducts) {
  for (const int64_t C : {int64_t{1}, int64_t{768}, int64_t{50257}, int64_t{200000}, int64_t{1} << 23}) {
    EXPECT_LE(column_sums_scratch(C), int64_t{1} << 23) << C;
    EXPECT_GE(column_sums_scratch(C), C);
  }
}

}  // namespace
}  // namespace trireme::runtime::cuda
