// One block of threads: which of them can go on, what they wait for, and in which order they run. Internal to the
// emulation; kernels see it through threads.h.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "tests/emulation/emulation.h"
#include "tests/emulation/fibers.h"
#include "tests/emulation/launch.h"
#include "tests/emulation/threads.h"

namespace trireme::emulation {

/// One operation of a warp under way. Lanes come, the last one completes it, each reads and leaves.
struct WarpExchange::State {
  const char* operation = nullptr;
  Site site;
  uint32_t mask = 0;
  uint32_t arrived = 0;
  uint32_t left = 0;
  bool complete = false;
  bool free = true;
  std::array<LaneValue, 32> values;
};

struct Warp {
  uint32_t live = 0;  // lanes that have not left the kernel
  std::vector<std::unique_ptr<WarpExchange::State>> exchanges;

  /// The exchange under way that this lane completes or joins, else a new one.
  WarpExchange::State& join(unsigned lane, uint32_t mask);
};

struct PendingCopy {
  void* target;
  const void* source;
  int group;
};

enum class ThreadState { ready, at_barrier, in_exchange, done };

struct Thread {
  ThreadState state = ThreadState::done;
  uint3 index{};
  int copy_group = 0;  // the group that copies join now
  std::vector<PendingCopy> copies;
};

class Block {
 public:
  Block();
  void run(const Launch& launch, uint3 index);

  // Called by the running thread.
  BarrierVotes barrier(int predicate, const Site& site);
  WarpExchange::State* exchange(uint32_t mask, const LaneValue& value, const char* operation, const Site& site);
  void leave_exchange(WarpExchange::State& state);
  Thread& thread() { return threads_[running_]; }
  unsigned lane() const { return running_ % 32; }
  bool running() const { return running_ != kNobody; }
  void* dynamic_memory() { return dynamic_begin_; }
  std::mt19937_64& random() { return random_; }
  bool is_stack(const void* address) const { return fibers_.owns(address); }
  std::string text() const;

  ThreadOrder order = ThreadOrder::forward;
  void seed(uint64_t value) { random_.seed(value); }

 private:
  static constexpr size_t kNobody = ~size_t{0};
  void run_thread();
  void wait(ThreadState state);
  bool run_warp(size_t warp);
  bool run_lanes(size_t warp);
  bool run_warps();
  bool release_barrier();
  void complete_exchanges(Warp& warp, size_t first_thread);
  void prepare_dynamic_memory(size_t bytes);
  [[noreturn]] void report_standstill() const;

  Fibers fibers_;
  const Launch* launch_ = nullptr;
  uint3 index_{};
  std::vector<Thread> threads_;
  std::vector<Warp> warps_;
  size_t running_ = kNobody;
  size_t done_ = 0;
  int arrived_ = 0;  // at the barrier
  int nonzero_ = 0;
  Site barrier_site_;
  BarrierVotes votes_{};  // of the last complete barrier
  std::mt19937_64 random_{1};
  unsigned char* dynamic_end_ = nullptr;
  unsigned char* dynamic_begin_ = nullptr;
};

/// The block that runs, and the one place that keeps stacks between launches.
Block& current_block();

/// False where a test has taken this barrier away; notes that it was reached.
bool barrier_stands(const Site& site);

}  // namespace trireme::emulation
