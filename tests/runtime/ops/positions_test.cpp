#include "runtime/ops/positions.h"

#include <limits>

#include "runtime/error.h"
#include "tests/reference/op_runs.h"

namespace trireme::runtime {
namespace {

using tests::Tensor;

TEST(FillPositions, CountsInEachSequence) {
  for (const auto& [first, B, T] :
       {std::tuple<int64_t, int64_t, int64_t>{0, 1, 1}, {0, 3, 5}, {7, 1, 4}, {7, 2, 1}, {0, 0, 3}}) {
    SCOPED_TRACE(testing::Message() << "first " << first << ", B " << B << ", T " << T);
    Tensor<int32_t> positions({B * T}, -77);
    Stream cpu(tests::device());
    fill_positions(cpu, first, T, positions.view());
    for (int64_t b = 0; b < B; ++b) {
      for (int64_t t = 0; t < T; ++t) EXPECT_EQ(positions[b * T + t], first + t);
    }
    Stream dry(Device::dry);
    fill_positions(dry, first, T, {{nullptr, DType::i32, Shape{B * T}}});
    tests::expect_cost(cpu, dry, {.op = "fill_positions", .flops = 0, .bytes = 4 * B * T});
  }
}

TEST(FillPositions, RefusesWhatItCannotWrite) {
  Stream stream(tests::device());
  Tensor<int32_t> positions({6}, -77);
  EXPECT_THROW(fill_positions(stream, 0, 0, positions.view()), Error);
  EXPECT_THROW(fill_positions(stream, 0, -3, positions.view()), Error);
  EXPECT_THROW(fill_positions(stream, -1, 3, positions.view()), Error);
  EXPECT_THROW(fill_positions(stream, std::numeric_limits<int32_t>::max(), 3, positions.view()), Error);
  EXPECT_THROW(fill_positions(stream, 0, 4, positions.view()), Error);  // 6 is no number of sequences of 4
  Tensor<float> wrong_dtype({6}, -77);
  EXPECT_THROW(fill_positions(stream, 0, 3, wrong_dtype.view()), Error);
  EXPECT_EQ(positions.values, std::vector<int32_t>(6, -77));
}

}  // namespace
}  // namespace trireme::runtime
