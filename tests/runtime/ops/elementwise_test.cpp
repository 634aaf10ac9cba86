#include "runtime/ops/elementwise.h"

#include <numbers>

#include "runtime/philox.h"
#include "tests/reference/op_runs.h"

namespace trireme::runtime {
namespace {

using tests::poisoned;
using tests::same_bits;
using tests::Tensor;

template <typename T>
class Add : public testing::Test {};
using Storages = testing::Types<float, bf16>;
TYPED_TEST_SUITE(Add, Storages);

TEST(Cast, RoundsToNearestEvenAndWidensExactly) {
  tests::Random random;
  Stream stream(tests::device());
  for (const Shape& shape : {Shape{1}, Shape{3, 5}, Shape{2, 3, 1000}}) {
    Tensor<float> x = random.normals(shape);
    x[0] = NAN;
    x[x.size() / 2] = 1 + 0x1p-8f;  // a tie: goes to 1, which is even
    Tensor<bf16> rounded = poisoned<bf16>(shape);
    cast(stream, x.view(), rounded.view());
    // Equal to the bit with the conversion that bf16_test holds against a search; but which NaN is the GPU's choice.
    for (int64_t i = 0; i < x.size(); ++i) {
      if (std::isnan(x[i]) && tests::device() == Device::cuda) {
        EXPECT_TRUE(std::isnan(static_cast<float>(rounded[i])));
      } else {
        ASSERT_EQ(rounded[i].bits, bf16(x[i]).bits) << i;
      }
    }
    Tensor<float> widened({shape});
    cast(stream, rounded.view(), widened.view());
    for (int64_t i = 0; i < x.size(); ++i) {
      ASSERT_EQ(std::bit_cast<uint32_t>(widened[i]), uint32_t{rounded[i].bits} << 16) << i;
    }
  }
}

TEST(Cast, WithinOneStorageIsACopyToTheBit) {
  tests::Random random;
  Stream stream(tests::device());
  Tensor<float> x = random.normals({4096 + 7});
  Tensor<bf16> half = random.normals<bf16>({4096 + 7});
  x[3] = std::bit_cast<float>(0x7f800001u);  // a signalling NaN: any arithmetic would quieten it
  half[3] = std::bit_cast<bf16>(uint16_t{0x7f81});
  Tensor<float> y = poisoned(x.shape);
  Tensor<bf16> half_y = poisoned<bf16>(x.shape);
  cast(stream, x.view(), y.view());
  cast(stream, half.view(), half_y.view());
  EXPECT_TRUE(same_bits(y, x));
  EXPECT_TRUE(same_bits(half_y, half));
}

TEST(Cast, ThreadsGiveTheSameBits) {
  tests::Random random;
  Stream stream(tests::device());
  const Tensor<float> x = random.normals({3 * 4096 + 5});
  std::vector<Tensor<bf16>> outputs;
  for (const int threads : {1, 2, 3, 5}) {
    const tests::Threads guard(threads);
    outputs.push_back(poisoned<bf16>(x.shape));
    cast(stream, x.view(), outputs.back().view());
    EXPECT_TRUE(same_bits(outputs.back(), outputs.front())) << threads;
  }
}

TEST(Fill, WritesEveryDtype) {
  Stream stream(tests::device());
  for (const int64_t n : {1, 15, 4096 + 3, 10000}) {
    Tensor<bf16> y16 = poisoned<bf16>({n});
    Tensor<float> y = poisoned({n});
    Tensor<double> y64({n}, NAN);
    fill(stream, y16.view(), 0.1);
    fill(stream, y.view(), 0.1);
    fill(stream, y64.view(), 0.1);
    EXPECT_EQ(y16.values, std::vector<bf16>(static_cast<size_t>(n), 0.1f));
    EXPECT_EQ(y.values, std::vector<float>(static_cast<size_t>(n), 0.1f));
    EXPECT_EQ(y64.values, std::vector<double>(static_cast<size_t>(n), 0.1));
  }
}

TYPED_TEST(Add, IsTheRoundedSumAlsoInPlace) {
  tests::Random random;
  for (const Shape& shape : {Shape{1}, Shape{3, 5}, Shape{2, 3, 1000}}) {
    Tensor<TypeParam> a = random.normals<TypeParam>(shape);
    Tensor<TypeParam> b = random.normals<TypeParam>(shape);
    Tensor<TypeParam> y = poisoned<TypeParam>(shape);
    Stream stream(tests::device());
    add(stream, a.view(), b.view(), y.view());
    // One addition is rounded to fp32, in float64 and then in fp32 alike, and then to the storage: equal to the bit.
    for (int64_t i = 0; i < y.size(); ++i) {
      const TypeParam expected = static_cast<float>(static_cast<double>(a[i]) + static_cast<double>(b[i]));
      EXPECT_EQ(y[i], expected);
    }
    Tensor<TypeParam> left = a;
    add(stream, left.view(), b.view(), left.view());
    EXPECT_TRUE(same_bits(left, y));
    add(stream, a.view(), b.view(), b.view());
    EXPECT_TRUE(same_bits(b, y));
  }
}

double sum_of_squares(const Tensor<float>& x, double start = 0) {
  Tensor<double> total({1}, start);
  Stream stream(tests::device());
  add_sum_of_squares(stream, x.view(), total.view(), tests::scratch());
  return total[0];
}

TEST(SumOfSquares, MatchesFloat64AndAccumulates) {
  tests::Random random;
  for (const int64_t n : {1, 15, 4096, 4097, 100003}) {
    const Tensor<float> x = random.normals({n}, 1e-3f);
    double expected = 7;
    for (const float value : x.values) expected += static_cast<double>(value) * value;
    // Both sum in fp64, in another order: 1e-16 for each of at most 1e5 terms.
    EXPECT_NEAR(sum_of_squares(x, 7), expected, 1e-11 * expected) << n;
  }
}

TEST(SumOfSquares, ThreadsAndSplitsAtGroupsGiveTheSameBits) {
  tests::Random random;
  const int64_t group = 64 * 4096;
  const int64_t n = 3 * group + 2 * 4096 + 77;
  Tensor<float> x = random.normals({n});
  const tests::Threads two(2);
  const double together = sum_of_squares(x);
  const tests::Threads one(1);
  EXPECT_EQ(sum_of_squares(x), together);
  Tensor<double> total({1});
  Stream stream(tests::device());
  add_sum_of_squares(stream, x.view().rows(0, group), total.view(), tests::scratch());
  add_sum_of_squares(stream, x.view().rows(group, n - group), total.view(), tests::scratch());
  EXPECT_EQ(total[0], together);
}

// A block of 2^54, then blocks of 1, none of which would be heard one by one; a group of them is.
TEST(SumOfSquares, AddsBlocksInGroups) {
  const int64_t block = 4096;
  Tensor<float> x({192 * block}, 0.0f);
  for (int64_t i = 0; i < 192; ++i) x[i * block] = 1.0f;
  x[0] = 0x1p27f;  // its square is 2^54, where numbers lie 4 apart
  // Group 0: 63 ones are lost one after the other. Groups 1 and 2: 64 each.
  EXPECT_EQ(sum_of_squares(x), 0x1p54 + 128);
}

TEST(SumOfSquares, MoreBlocksThanFitOneRound) {
  const int64_t n = 4096 * 4096 + 5;
  const Tensor<float> x({n}, 0.5f);
  EXPECT_EQ(sum_of_squares(x), 0.25 * static_cast<double>(n));  // exact: multiples of 1/4 below 2^53
}

TEST(SumOfSquares, IsFiniteExactlyWhenItsInputIs) {
  Tensor<float> x({100}, 3e38f);
  EXPECT_TRUE(std::isfinite(sum_of_squares(x)));  // the squares overflow fp32
  for (const float bad : {NAN, INFINITY, -INFINITY}) {
    x[99] = bad;
    EXPECT_FALSE(std::isfinite(sum_of_squares(x)));
  }
}

constexpr NormalSource kSource = {.seed = 42, .name_hash = 0x0123456789abcdef, .standard_deviation = 0.02f};

Tensor<float> normals(const NormalSource& source, int64_t begin, int64_t n) {
  Tensor<float> y = poisoned({n});
  Stream stream(tests::device());
  fill_normal(stream, source, begin, y.view());
  return y;
}

TEST(FillNormal, FollowsTheCounterLayout) {
  const int64_t begin = (int64_t{1} << 34) - 6;  // element / 4 crosses 2^32, the border of the low counter word
  const Tensor<float> y = normals(kSource, begin, 12);
  std::vector<double> expected;
  for (int64_t element = begin; element < begin + 12; ++element) {
    const auto index = static_cast<uint64_t>(element / 4);
    const PhiloxCounter words =
        philox({static_cast<uint32_t>(index), static_cast<uint32_t>(index >> 32), 0x89abcdef, 0x01234567},
               philox_key(kSource.seed));
    const auto pair = static_cast<size_t>(element % 4 / 2 * 2);
    const double radius = std::sqrt(-2 * std::log(1 - static_cast<double>(unit_float(words[pair]))));
    const double angle = 2 * std::numbers::pi * unit_float(words[pair + 1]);
    expected.push_back(0.02 * radius * (element % 2 == 0 ? std::cos(angle) : std::sin(angle)));
  }
  // The angle is rounded to fp32: 6 * 6e-8 absolute, and so its sine.
  EXPECT_LE(tests::relative_error(y, expected), 1e-6);
}

TEST(FillNormal, IsWhatTheCpuDraws) {
  const int64_t n = 5003;
  const Tensor<float> y = normals(kSource, 3, n);
  Tensor<float> on_cpu = poisoned({n});
  Stream cpu(Device::cpu);
  fill_normal(cpu, kSource, 3, on_cpu.view());
  // From the same angle, rounded to fp32: two cosines good to 2 units in the last place, a logarithm and a root.
  for (int64_t i = 0; i < n; ++i) ASSERT_NEAR(y[i], on_cpu[i], 1e-6 * std::abs(on_cpu[i])) << i;
}

TEST(FillNormal, SplitsAndThreadsGiveTheSameBits) {
  for (const int64_t n : {1, 63, 65, 1003, 10007}) {
    std::vector<Tensor<float>> outputs;
    for (const int threads : {1, 2, 3, 5}) {
      const tests::Threads guard(threads);
      outputs.push_back(normals(kSource, 5, n));
      EXPECT_TRUE(same_bits(outputs.back(), outputs.front())) << n << " with " << threads << " threads";
    }
  }
  const int64_t n = 1003;
  const Tensor<float> whole = normals(kSource, 5, n);
  for (const int64_t cut : {1, 2, 63, 64, 500, 1002}) {
    Tensor<float> parts = normals(kSource, 5, cut);
    const Tensor<float> rest = normals(kSource, 5 + cut, n - cut);
    parts.values.insert(parts.values.end(), rest.values.begin(), rest.values.end());
    EXPECT_EQ(parts.values, whole.values) << "cut at " << cut;
  }
}

TEST(FillNormal, HasTheMomentsOfANormal) {
  tests::Random random;
  const NormalSource source = {.seed = static_cast<uint64_t>(random.below(INT64_MAX)),
                               .name_hash = static_cast<uint64_t>(random.below(INT64_MAX)),
                               .standard_deviation = 2};
  const int64_t n = 1 << 19;
  const Tensor<float> y = normals(source, 0, n);
  double mean = 0, square = 0, cube = 0, fourth = 0, neighbours = 0;
  for (int64_t i = 0; i < n; ++i) {
    const double z = y[i] / 2;
    mean += z / n;
    square += z * z / n;
    cube += z * z * z / n;
    fourth += z * z * z * z / n;
    neighbours += z * y[(i + 1) % n] / 2 / n;
  }
  // Six standard deviations of each estimate, sqrt(var / n): var 1, 2, 15, 96 and 1 for a standard normal.
  const auto bound = [n](double variance) { return 6 * std::sqrt(variance / static_cast<double>(n)); };
  EXPECT_NEAR(mean, 0, bound(1));
  EXPECT_NEAR(square, 1, bound(2));
  EXPECT_NEAR(cube, 0, bound(15));
  EXPECT_NEAR(fourth, 3, bound(96));
  EXPECT_NEAR(neighbours, 0, bound(1));
}

TEST(FillNormal, UniformZeroIsFinite) {
  const int64_t index = 14883995;  // found by search: here the first random word is 0x93, a uniform number of 0
  ASSERT_EQ(unit_float(philox({static_cast<uint32_t>(index), 0, 0, 0}, philox_key(0))[0]), 0.0f);
  const Tensor<float> y = normals({}, 4 * index, 4);
  EXPECT_EQ(y[0], 0.0f);
  EXPECT_EQ(y[1], 0.0f);
  EXPECT_TRUE(std::isfinite(y[2]) && std::isfinite(y[3]));
}

TEST(FillNormal, NamesAndSeedsDiffer) {
  const Tensor<float> y = normals(kSource, 0, 64);
  NormalSource other = kSource;
  other.name_hash ^= uint64_t{1} << 63;
  EXPECT_FALSE(same_bits(normals(other, 0, 64), y));
  other = kSource;
  other.seed ^= uint64_t{1} << 63;
  EXPECT_FALSE(same_bits(normals(other, 0, 64), y));
}

TEST(HostBorder, CopiesThereAndBack) {
  tests::Random random;
  const Tensor<float> x = random.normals({3, 7});
  Tensor<float> device = poisoned({3, 7});
  Tensor<float> back = poisoned({21});
  Stream stream(tests::device());
  copy_from_host(stream, std::as_bytes(std::span(x.values)), device.view());
  copy_to_host(stream, device.view(), std::as_writable_bytes(std::span(back.values)));
  EXPECT_EQ(back.values, x.values);
}

TEST(HostBorder, ScalarsAreRealOnCpuAndOneWhenDry) {
  Tensor<double> values({3});
  values.values = {2.5, -1, 1e300};
  std::vector<double> host(3, NAN);
  Stream cpu(tests::device());
  read_scalars(cpu, values.view(), host);
  EXPECT_EQ(host, values.values);
  Stream dry(Device::dry);
  read_scalars(dry, tests::dry_view({3}, DType::fp64), host);
  EXPECT_EQ(host, (std::vector<double>{1, 1, 1}));
}

TEST(Elementwise, DryCostsWhatCpuCosts) {
  tests::Random random;
  const int64_t n = 21;
  Tensor<float> x = random.normals({n});
  Tensor<double> total({1});
  std::vector<std::byte> host(4 * n);
  std::vector<double> scalar(1);
  Stream cpu(tests::device());
  Stream dry(Device::dry);
  const auto run = [&](Stream& stream, View y, View sum) {
    fill(stream, y, 1);
    add(stream, y, y, y);
    add_sum_of_squares(stream, y, sum, tests::scratch());
    fill_normal(stream, kSource, 3, y);
    read_scalars(stream, sum, scalar);
    copy_to_host(stream, y, host);
    copy_from_host(stream, host, y);
  };
  run(cpu, x.view(), total.view());
  run(dry, tests::dry_view({n}), tests::dry_view({1}, DType::fp64));
  Tensor<bf16> half({n});
  for (Stream* stream : {&cpu, &dry}) cast(*stream, x.view(), half.view());
  tests::expect_cost(cpu, dry, {.op = "cast", .flops = 0, .bytes = (4 + 2) * n});
  tests::expect_cost(cpu, dry, {.op = "fill", .flops = 0, .bytes = 4 * n});
  tests::expect_cost(cpu, dry, {.op = "add", .flops = n, .bytes = 12 * n});
  tests::expect_cost(cpu, dry, {.op = "add_sum_of_squares", .flops = 2 * n, .bytes = 4 * n + 16});
  tests::expect_cost(cpu, dry, {.op = "fill_normal", .flops = 4 * n, .bytes = 4 * n});
  tests::expect_cost(cpu, dry, {.op = "read_scalars", .flops = 0, .bytes = 16});
  tests::expect_cost(cpu, dry, {.op = "copy_to_host", .flops = 0, .bytes = 8 * n});
  tests::expect_cost(cpu, dry, {.op = "copy_from_host", .flops = 0, .bytes = 8 * n});
}

TEST(Elementwise, Bf16CostsHalfTheBytes) {
  const int64_t n = 21;
  Tensor<bf16> x({n});
  Stream cpu(tests::device());
  Stream dry(Device::dry);
  const auto run = [](Stream& stream, View y) {
    fill(stream, y, 1);
    add(stream, y, y, y);
    cast(stream, y, y);
  };
  run(cpu, x.view());
  run(dry, tests::dry_view({n}, DType::bf16));
  tests::expect_cost(cpu, dry, {.op = "fill", .flops = 0, .bytes = 2 * n});
  tests::expect_cost(cpu, dry, {.op = "add", .flops = n, .bytes = 6 * n});
  tests::expect_cost(cpu, dry, {.op = "cast", .flops = 0, .bytes = 4 * n});
}

TEST(Elementwise, WrongOperandsAreNamed) {
  Tensor<float> x({21});
  Tensor<int32_t> ids({21});
  std::vector<double> host(2);
  Stream stream(tests::device());
  Tensor<bf16> half({21});
  EXPECT_EQ(tests::error_message([&] { fill(stream, ids.view(), 1); }), "fill: y is (21) i32, expected fp32 or bf16");
  EXPECT_EQ(tests::error_message([&] { cast(stream, x.view(), ids.view()); }),
            "cast: y is (21) i32, expected fp32 or bf16");
  EXPECT_EQ(tests::error_message([&] { cast(stream, ids.view(), x.view()); }),
            "cast: x is (21) i32, expected fp32 or bf16");
  EXPECT_EQ(tests::error_message([&] { cast(stream, x.view(), half.view().rows(0, 20)); }),
            "cast: y is (20) bf16, expected (21) bf16");
  EXPECT_EQ(tests::error_message([&] { add(stream, half.view(), x.view(), half.view()); }),
            "add: b is (21) fp32, expected (21) bf16");
  EXPECT_EQ(tests::error_message([&] { add(stream, x.view(), x.view().rows(0, 20), x.view()); }),
            "add: b is (20) fp32, expected (21) fp32");
  EXPECT_EQ(tests::error_message([&] { add_sum_of_squares(stream, x.view(), x.view(), tests::scratch()); }),
            "add_sum_of_squares: total is (21) fp32, expected (1) fp64");
  EXPECT_EQ(tests::error_message([&] { fill_normal(stream, kSource, 0, ids.view()); }),
            "fill_normal: y is (21) i32, expected (21) fp32");
  EXPECT_EQ(tests::error_message([&] { fill_normal(stream, kSource, -4, x.view()); }),
            "fill_normal: begin is -4, expected 0 or more");
  EXPECT_EQ(tests::error_message([&] { read_scalars(stream, x.view(), host); }),
            "read_scalars: values is (21) fp32, expected (2) fp64");
  EXPECT_EQ(tests::error_message([&] { copy_from_host(stream, std::as_bytes(std::span(host)), x.view()); }),
            "copy_from_host: host has 16 bytes, expected 84");
  EXPECT_EQ(tests::error_message([&] { copy_to_host(stream, x.view(), std::as_writable_bytes(std::span(host))); }),
            "copy_to_host: host has 16 bytes, expected 84");
}

}  // namespace
}  // namespace trireme::runtime
