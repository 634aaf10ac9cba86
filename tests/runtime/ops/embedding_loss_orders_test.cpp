// The results of the kernels of embedding and loss do not depend on the order in which the threads and blocks of a GPU
// run, to the bit.
#include <memory>

#include "runtime/ops/embedding.h"
#include "runtime/ops/loss.h"
#include "tests/reference/op_runs.h"
#include "tests/reference/thread_orders.h"

namespace trireme::runtime {
namespace {

using tests::bits_of;
using tests::Tensor;

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
    SCOPED_TRACE(C);
    tests::expect_same_bits_in_every_order([&] {  // all of the table, and once more a part of it
      Tensor<float> dtable = before;
      Stream stream(Device::cuda);
      embedding_backward(stream, {.tokens = ids.view(), .dy = dy.view(), .dtoken_table = dtable.view()},
                         tests::scratch());
      embedding_backward(
          stream,
          {.tokens = ids.view(), .dy = dy.view(), .dtoken_table = dtable.view().rows(70, 150), .vocabulary_begin = 70},
          tests::scratch());
      stream.wait();
      EXPECT_FALSE(tests::same_bits(dtable, before));
      return bits_of(dtable);
    });
  }
}

TYPED_TEST(ThreadOrders, LossGivesTheSameBits) {
  tests::Random random;
  const int64_t N = 5;
  const int64_t V = 2603;
  const Tensor<TypeParam> before = random.normals<TypeParam>({N, V});
  const Tensor<int32_t> targets = random.integers({N}, V);
  tests::expect_same_bits_in_every_order([&] {
    Tensor<TypeParam> logits = before;
    Tensor<float> partials = tests::poisoned({N, 3});
    Tensor<double> totals({2});
    Stream stream(Device::cuda);
    Arena scratch = tests::shared_arena("scratch", 0);
    const std::unique_ptr<Communicator> alone = solo_communicator();
    loss_partials(stream, logits.view(), targets.view(), 0, partials.view());
    loss_combine(stream, *alone, targets.view(), partials.view(), totals.view(), scratch);
    loss_gradient(stream, partials.view(), targets.view(), 0, logits.view());
    stream.wait();
    return bits_of(logits, partials, totals);
  });
}

// Two tiles of the sort, two passes of it, and runs within a piece and over many.
TEST(ThreadOrdersWithoutABarrier, EmbeddingBackwardShows) {
  tests::Random random;
  const int64_t N = 2500;
  const int64_t C = 8;
  Tensor<int32_t> ids = random.integers({N}, 300);
  for (int64_t i = 0; i < N; i += 3) ids[i] = 77;
  const Tensor<float> dy = random.normals({N, C});
  tests::expect_each_barrier_needed(
      [&] {
        Tensor<float> dtable({300, C});
        Stream stream(Device::cuda);
        embedding_backward(stream, {.tokens = ids.view(), .dy = dy.view(), .dtoken_table = dtable.view()},
                           tests::scratch());
        stream.wait();
        return bits_of(dtable);
      },
      8);  // two where digits are counted, three where ids are scattered, one where runs are added, two where joined
}

TEST(ThreadOrdersWithoutABarrier, LossShows) {
  tests::Random random;
  const int64_t N = 40;  // losses in two warps
  const int64_t V = 600;
  const Tensor<float> logits = random.normals({N, V});
  const Tensor<int32_t> targets = random.integers({N}, V);
  tests::expect_each_barrier_needed(
      [&] {
        Tensor<float> partials = tests::poisoned({N, 3});
        Tensor<double> totals({2});
        Stream stream(Device::cuda);
        Arena scratch = tests::shared_arena("scratch", 0);
        loss_partials(stream, logits.view(), targets.view(), 0, partials.view());
        loss_combine(stream, *solo_communicator(), targets.view(), partials.view(), totals.view(), scratch);
        stream.wait();
        return bits_of(partials, totals);
      },
      2);  // a maximum's and a sum's
}

}  // namespace
}  // namespace trireme::runtime
