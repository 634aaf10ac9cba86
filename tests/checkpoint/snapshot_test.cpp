#include "checkpoint/snapshot.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <thread>
#include <vector>

#include "runtime/error.h"

namespace trireme::checkpoint {
namespace {

using Bytes = std::vector<uint8_t>;

/// Slices of these sizes, one behind the other in one memory. Its bytes come round after a prime number of them.
class Source {
 public:
  explicit Source(const std::vector<int64_t>& sizes) {
    for (int64_t size : sizes) bytes.resize(bytes.size() + static_cast<size_t>(size));
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<uint8_t>(i % 251);
    size_t begin = 0;
    for (int64_t size : sizes) {
      slices.push_back({.name = "t",
                        .kind = "parameter",
                        .global_shape = {size},
                        .box = parallel::whole({size}),
                        .data = runtime::view_of(std::span(bytes).subspan(begin, static_cast<size_t>(size)), {size})});
      begin += static_cast<size_t>(size);
    }
  }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  Bytes bytes;
  std::vector<TensorSlice> slices;
};

void copy_in(Snapshot& snapshot, const Source& source) {
  runtime::Stream stream(runtime::Device::cpu);
  snapshot.copy_in(stream, source.slices);
}

/// The next `count` bytes, by whole pieces. A piece is read only when the other side had time to overwrite it.
Bytes take(Snapshot& snapshot, size_t count) {
  Bytes taken;
  while (taken.size() < count) {
    const std::span<const std::byte> piece = snapshot.next();
    std::this_thread::yield();
    const auto* bytes = reinterpret_cast<const uint8_t*>(piece.data());
    taken.insert(taken.end(), bytes, bytes + piece.size());
  }
  return taken;
}

void expect_all_come_through(Snapshot& snapshot, const std::vector<int64_t>& sizes) {
  const Source source(sizes);
  std::thread training([&] { copy_in(snapshot, source); });
  const Bytes taken = take(snapshot, source.bytes.size());
  training.join();
  EXPECT_TRUE(taken == source.bytes);
}

TEST(Snapshot, PiecesGoOnFromTheStartWhereTheEndHasNoRoom) {
  Snapshot snapshot(10);
  copy_in(snapshot, Source({4, 4}));
  const std::byte* start = snapshot.next().data();
  EXPECT_EQ(snapshot.next().data(), start + 4);  // and the first four bytes are free
  copy_in(snapshot, Source({2, 3}));             // the last two, then the start
  EXPECT_EQ(snapshot.next().data(), start + 8);
  copy_in(snapshot, Source({5}));  // from 3 to 8: behind it the two bytes in the writer's hands
  EXPECT_EQ(snapshot.next().data(), start);
  const std::span<const std::byte> last = snapshot.next();
  EXPECT_EQ(last.data(), start + 3);
  EXPECT_EQ(last.size(), 5);
}

TEST(Snapshot, TwoThreadsPassPiecesOfManySizesThroughARing) {
  std::mt19937 random(20261122);
  for (int64_t capacity : {1, 2, 7, 64, 1000}) {
    Snapshot snapshot(capacity);
    for (int save = 0; save < 3; ++save) {
      std::vector<int64_t> sizes(200);
      for (int64_t& size : sizes) size = std::uniform_int_distribution<int64_t>(0, capacity)(random);
      SCOPED_TRACE("capacity " + std::to_string(capacity));
      expect_all_come_through(snapshot, sizes);
      snapshot.reset();
    }
  }
}

TEST(Snapshot, SlicesLargerThanItsMemoryAreCut) {
  Snapshot snapshot(Snapshot::kSmallestBytes);
  expect_all_come_through(snapshot, {Snapshot::kPieceBytes + 1, 3, Snapshot::kSmallestBytes + 5, 0, 1});
}

TEST(Snapshot, TrainingGoesOnWhenTheWriterGivesUp) {
  const Source source({3, 3, 3, 3});
  for (int trial = 0; trial < 50; ++trial) {
    Snapshot snapshot(7);
    std::thread training([&] { copy_in(snapshot, source); });
    // Mostly it waits for room by then; it must go on as well when it does not yet.
    if (trial % 2 == 0) snapshot.next();
    if (trial % 10 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
    snapshot.give_up();
    training.join();
  }
}

TEST(Snapshot, AWriterThatWaitsIsToldThatTheSaveWasGivenUp) {
  for (int trial = 0; trial < 50; ++trial) {
    Snapshot snapshot(7);
    copy_in(snapshot, Source({3}));
    std::thread training([&] {
      if (trial % 10 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(5));
      snapshot.give_up();
    });
    EXPECT_THROW(
        {
          snapshot.next();
          snapshot.next();  // there is no second one
        },
        runtime::Error);
    training.join();
  }
}

TEST(Snapshot, AfterAResetNothingOfTheLastSaveIsLeft) {
  Snapshot snapshot(100);
  for (size_t taken : {0, 1, 41}) {  // pieces: none, one, two
    copy_in(snapshot, Source({40, 1, 50}));
    take(snapshot, taken);
    snapshot.give_up();
    EXPECT_THROW(snapshot.next(), runtime::Error);
    snapshot.reset();
    expect_all_come_through(snapshot, {100, 7, 93, 100});
    snapshot.reset();
  }
}

TEST(Snapshot, APieceLargerThanTheMemoryIsAnError) {
  Snapshot snapshot(8);
  EXPECT_THROW(copy_in(snapshot, Source({9})), runtime::Error);
  expect_all_come_through(snapshot, {8, 8, 8});
}

}  // namespace
}  // namespace trireme::checkpoint
