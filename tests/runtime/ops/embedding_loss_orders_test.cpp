// The results of the kernels of embedding and loss do not depend on the order in which the threads and blocks of a GPU
// run, to the bit.
#include <cstdlib>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/ops/embedding.h"
#include "runtime/ops/loss.h"
#include "tests/emulation/emulation.h"
#include "tests/reference/op_runs.h"

namespace trireme::runtime {
namespace {

using emulation::ThreadOrder;
using tests::same_bits;
using tests::Tensor;

/// The orders beside the first: reverse, and several at random.
constexpr std::pair<ThreadOrder, uint64_t> kOtherOrders[] = {
    {ThreadOrder::reverse, 1}, {ThreadOrder::shuffled, 1}, {ThreadOrder::shuffled, 2}, {ThreadOrder::shuffled, 3}};

class InOrder {
 public:
  explicit InOrder(ThreadOrder order, uint64_t seed = 1) { emulation::set_thread_order(order, seed); }
  ~InOrder() { emulation::set_thread_order(ThreadOrder::forward); }
  InOrder(const InOrder&) = delete;
  InOrder& operator=(const InOrder&) = delete;
};

/// The outcome of `run`, as its numbers, in every order, none of which may change a bit.
bool equal_in_every_order(const std::function<std::vector<double>()>& run, const std::vector<double>& expected) {
  bool equal = true;
  for (const auto& [order, seed] :
       {std::pair{ThreadOrder::forward, uint64_t{1}}, {ThreadOrder::reverse, 1}, {ThreadOrder::shuffled, 1}}) {
    const InOrder in_order(order, seed);
    equal = equal && run() == expected;
  }
  return equal;
}

/// Each barrier that `run` passes is needed: without it some order gives other numbers, or ends the process, for which
/// the runs have one of their own.
void expect_each_barrier_needed(const std::function<std::vector<double>()>& run, size_t barriers) {
  testing::GTEST_FLAG(death_test_style) = "fast";
  emulation::forget_barriers();
  const std::vector<double> expected = run();
  const std::vector<std::string> sites = emulation::barrier_sites();
  EXPECT_EQ(sites.size(), barriers);
  const auto run_without = [&](const std::string& site) {
    emulation::ignore_barrier(site);
    std::_Exit(equal_in_every_order(run, expected) ? 0 : 1);
  };
  EXPECT_EXIT(run_without(""), testing::ExitedWithCode(0), "");
  for (const std::string& site : sites) {
    SCOPED_TRACE(site);
    EXPECT_EXIT(
        run_without(site), [](int status) { return status != 0; }, "");
  }
}

template <typename T>
class ThreadOrders : public testing::Test {};
using Storages = testing::Types<float, bf16>;
TYPED_TEST_SUITE(ThreadOrders, Storages);

// Two tiles of the sort; runs within a piece, over two, and over many.
TYPED_TEST(ThreadOrders, EmbeddingBackwardGivesTheSameBits) {
  tests::Random random;
  for (const int64_t C : {5, 16}) {
    const int64_t N = 2500;
    Tensor<int32_t> ids = random.integers({N}, 300);
    for (int64_t i = 0; i < N; i += 3) ids[i] = 77;
    const Tensor<TypeParam> dy = random.normals<TypeParam>({N, C});
    const Tensor<float> before = random.normals({300, C});
    const auto run = [&] {
      Tensor<float> dtable = before;
      Stream stream(Device::cuda);
      embedding_backward(stream, {.tokens = ids.view(), .dy = dy.view(), .dtoken_table = dtable.view()},
                         tests::scratch());
      stream.wait();
      return dtable;
    };
    const Tensor<float> expected = run();
    EXPECT_FALSE(same_bits(expected, before));
    for (const auto& [order, seed] : kOtherOrders) {
      const InOrder in_order(order, seed);
      EXPECT_TRUE(same_bits(run(), expected)) << "C " << C << ", order " << static_cast<int>(order) << ":" << seed;
    }
  }
}

TYPED_TEST(ThreadOrders, LossGivesTheSameBits) {
  tests::Random random;
  const int64_t N = 5;
  const int64_t V = 2603;
  const Tensor<TypeParam> before = random.normals<TypeParam>({N, V});
  const Tensor<int32_t> targets = random.integers({N}, V);
  struct Result {
    Tensor<TypeParam> logits;
    Tensor<float> partials;
    Tensor<double> totals;
  };
  const auto run = [&] {
    Result result{before, tests::poisoned({N, 3}), Tensor<double>({2})};
    Stream stream(Device::cuda);
    Arena scratch = tests::shared_arena("scratch", 0);
    const std::unique_ptr<Communicator> alone = solo_communicator();
    loss_partials(stream, result.logits.view(), targets.view(), 0, result.partials.view());
    loss_combine(stream, *alone, targets.view(), result.partials.view(), result.totals.view(), scratch);
    loss_gradient(stream, result.partials.view(), targets.view(), 0, result.logits.view());
    stream.wait();
    return result;
  };
  const Result expected = run();
  for (const auto& [order, seed] : kOtherOrders) {
    const InOrder in_order(order, seed);
    const Result again = run();
    EXPECT_TRUE(same_bits(again.logits, expected.logits)) << static_cast<int>(order) << ":" << seed;
    EXPECT_TRUE(same_bits(again.partials, expected.partials)) << static_cast<int>(order) << ":" << seed;
    EXPECT_TRUE(same_bits(again.totals, expected.totals)) << static_cast<int>(order) << ":" << seed;
  }
}

// Two tiles of the sort, two passes of it, and runs within a piece and over many.
TEST(ThreadOrdersWithoutABarrier, EmbeddingBackwardShows) {
  tests::Random random;
  const int64_t N = 2500;
  const int64_t C = 8;
  Tensor<int32_t> ids = random.integers({N}, 300);
  for (int64_t i = 0; i < N; i += 3) ids[i] = 77;
  const Tensor<float> dy = random.normals({N, C});
  expect_each_barrier_needed(
      [&] {
        Tensor<float> dtable({300, C});
        Stream stream(Device::cuda);
        embedding_backward(stream, {.tokens = ids.view(), .dy = dy.view(), .dtoken_table = dtable.view()},
                           tests::scratch());
        stream.wait();
        return tests::to_double(dtable);
      },
      8);  // two where digits are counted, three where ids are scattered, one where runs are added, two where joined
}

TEST(ThreadOrdersWithoutABarrier, LossShows) {
  tests::Random random;
  const int64_t N = 40;  // losses in two warps
  const int64_t V = 600;
  const Tensor<float> logits = random.normals({N, V});
  const Tensor<int32_t> targets = random.integers({N}, V);
  expect_each_barrier_needed(
      [&] {
        Tensor<float> partials = tests::poisoned({N, 3});
        Tensor<double> totals({2});
        Stream stream(Device::cuda);
        Arena scratch = tests::shared_arena("scratch", 0);
        loss_partials(stream, logits.view(), targets.view(), 0, partials.view());
        loss_combine(stream, *solo_communicator(), targets.view(), partials.view(), totals.view(), scratch);
        stream.wait();
        std::vector<double> numbers = tests::to_double(partials);
        numbers.insert(numbers.end(), totals.values.begin(), totals.values.end());
        return numbers;
      },
      2);  // a maximum's and a sum's
}

}  // namespace
}  // namespace trireme::runtime
