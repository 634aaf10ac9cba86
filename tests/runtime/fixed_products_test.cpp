// Products under FixedProducts: the same bits for every number of threads, and the product.
#include "runtime/ops/fixed_products.h"

#include <cmath>
#include <cstring>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/ops/matrix_product_cpu.h"
#include "runtime/threads.h"

namespace trireme::runtime {
namespace {

struct Case {
  cpu::ProductSizes sizes;
  bool a_transposed;
  bool b_transposed;
};

std::vector<float> random_values(std::mt19937_64& random, int64_t count) {
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(count));
  for (float& value : values) value = normal(random);
  return values;
}

TEST(FixedProducts, HaveTheSameBitsForAnyNumberOfThreads) {
  const int before = compute_threads();
  std::mt19937_64 random(1);
  bool threads_matter = false;  // without the scope
  // Less than a block, blocks and a rest, sums over odd numbers of terms, as over a vocabulary.
  for (const auto& [sizes, a_transposed, b_transposed] :
       {Case{{12, 41, 24}, false, true}, Case{{64, 257, 2'049}, false, false}, Case{{258, 300, 1'331}, false, true},
        Case{{520, 300, 100}, true, false}, Case{{64, 96, 5'257}, false, false}, Case{{62, 234, 435}, true, true}}) {
    const auto [m, n, k] = sizes;
    SCOPED_TRACE(testing::Message() << m << " x " << n << " x " << k);
    const std::vector<float> a = random_values(random, m * k);
    const std::vector<float> b = random_values(random, k * n);
    const std::vector<float> c = random_values(random, m * n);
    const auto product = [&](int threads, bool is_fixed = true) {
      set_compute_threads(threads);
      const FixedProducts fixed(is_fixed);
      std::vector<float> result = c;
      cpu::multiply(sizes, {a.data(), a_transposed ? m : k, a_transposed},
                    {b.data(), b_transposed ? k : n, b_transposed}, 1, result.data(), n);
      return result;
    };
    const std::vector<float> one = product(1);
    for (const int threads : {2, 3, 5}) {
      EXPECT_EQ(std::memcmp(product(threads).data(), one.data(), one.size() * sizeof(float)), 0) << threads;
      const std::vector<float> free = product(threads, false);
      threads_matter |= std::memcmp(free.data(), product(1, false).data(), free.size() * sizeof(float)) != 0;
    }
    for (int64_t i = 0; i < m; ++i) {
      for (int64_t j = 0; j < n; ++j) {
        double expected = c[static_cast<size_t>(i * n + j)];
        for (int64_t l = 0; l < k; ++l) {
          expected += double{a[static_cast<size_t>(a_transposed ? l * m + i : i * k + l)]} *
                      b[static_cast<size_t>(b_transposed ? j * k + l : l * n + j)];
        }
        // k terms of N(0, 1) make a sum of about sqrt(k), in fp32: 1e-5 of that is 170 units of its last place.
        ASSERT_NEAR(one[static_cast<size_t>(i * n + j)], expected, 1e-5 * (1 + std::sqrt(static_cast<double>(k)) * 4));
      }
    }
  }
  set_compute_threads(before);
  if (!threads_matter) GTEST_SKIP() << "OpenBLAS's kernels for this processor give these products the same bits anyway";
}

TEST(FixedProducts, AreWantedWhileTheScopeLives) {
  EXPECT_FALSE(FixedProducts::wanted());
  {
    const FixedProducts outer(true);
    EXPECT_TRUE(FixedProducts::wanted());
    const FixedProducts inner(false);
    EXPECT_TRUE(FixedProducts::wanted()) << "an inner scope that does not ask takes nothing away";
  }
  const FixedProducts none(false);
  EXPECT_FALSE(FixedProducts::wanted());
}

}  // namespace
}  // namespace trireme::runtime
