#include "tests/emulation/block.h"

#include <algorithm>
#include <bit>
#include <cstdio>
#include <cstdlib>
#include <new>

#include <sys/mman.h>

#include "tests/emulation/sanitizer.h"

uint3 threadIdx;
uint3 blockIdx;
dim3 blockDim;
dim3 gridDim;

namespace trireme::emulation {

namespace {

constexpr size_t kDynamicBytes = 256 << 10;  // room for the largest launch, then a page that nobody may touch
constexpr size_t kGuardBytes = 4096;
constexpr unsigned char kPoison = 0xff;  // NaN as fp32, bf16 and fp64

std::string text_of(uint3 index) {
  return "(" + std::to_string(index.x) + ", " + std::to_string(index.y) + ", " + std::to_string(index.z) + ")";
}

std::string text_of(const Site& site) {
  return std::string(site.file_name()) + ":" + std::to_string(site.line());
}

bool same(const Site& a, const Site& b) {
  if (a.line() != b.line()) return false;
  return a.file_name() == b.file_name() || std::string_view(a.file_name()) == b.file_name();
}

}  // namespace

WarpExchange::State& Warp::join(unsigned lane, uint32_t mask) {
  WarpExchange::State* unused = nullptr;
  for (const auto& state : exchanges) {
    if (state->free) {
      unused = state.get();
    } else if (!state->complete && state->mask == mask && (state->arrived >> lane & 1u) == 0) {
      return *state;
    }
  }
  if (unused == nullptr) unused = exchanges.emplace_back(std::make_unique<WarpExchange::State>()).get();
  unused->free = unused->complete = false;
  unused->mask = mask;
  unused->arrived = unused->left = 0;
  return *unused;
}

Block::Block() : fibers_([this] { run_thread(); }) {
  void* memory = mmap(nullptr, kDynamicBytes + kGuardBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  dynamic_end_ = static_cast<unsigned char*>(memory) + kDynamicBytes;
  mprotect(dynamic_end_, kGuardBytes, PROT_NONE);
}

/// Ends where the guard page begins, as far as an alignment of 128 bytes allows.
void Block::prepare_dynamic_memory(size_t bytes) {
  dynamic_begin_ = dynamic_end_ - (bytes + 127) / 128 * 128;
  sanitizer::allow(dynamic_end_ - kDynamicBytes, kDynamicBytes);
  std::fill(dynamic_begin_, dynamic_end_, kPoison);
  sanitizer::forbid(dynamic_end_ - kDynamicBytes, kDynamicBytes);
  sanitizer::allow(dynamic_begin_, bytes);
}

void Block::run(const Launch& launch, uint3 index) {
  launch_ = &launch;
  index_ = index;
  const size_t count = static_cast<size_t>(launch.block.x) * launch.block.y * launch.block.z;
  fibers_.reserve(count);
  threads_.resize(count);
  warps_.resize((count + 31) / 32);
  for (Warp& warp : warps_) {
    warp.live = 0;
    for (const auto& state : warp.exchanges) state->free = true;
  }
  for (size_t i = 0; i < count; ++i) {
    const auto linear = static_cast<unsigned>(i);
    Thread& thread = threads_[i];
    thread.state = ThreadState::ready;
    thread.index = {linear % launch.block.x, linear / launch.block.x % launch.block.y,
                    linear / (launch.block.x * launch.block.y)};
    thread.copies.clear();
    thread.copy_group = 0;
    warps_[i / 32].live |= 1u << i % 32;
  }
  prepare_dynamic_memory(launch.dynamic_bytes);
  blockIdx = index;
  blockDim = launch.block;
  gridDim = launch.grid;
  done_ = 0;
  arrived_ = nonzero_ = 0;
  while (done_ < count) {
    const bool moved = run_warps();
    if (!release_barrier() && !moved && done_ < count) report_standstill();
  }
}

/// One thread of the kernel, in its fiber.
void Block::run_thread() {
  launch_->thread();
  Thread& self = thread();
  self.state = ThreadState::done;
  ++done_;
  Warp& warp = warps_[running_ / 32];
  warp.live &= ~(1u << lane());
  complete_exchanges(warp, running_ / 32 * 32);
}

bool Block::run_warps() {
  std::vector<size_t> order_of_warps(warps_.size());
  for (size_t i = 0; i < warps_.size(); ++i)
    order_of_warps[i] = order == ThreadOrder::reverse ? warps_.size() - 1 - i : i;
  if (order == ThreadOrder::shuffled) std::shuffle(order_of_warps.begin(), order_of_warps.end(), random_);
  bool moved = false;
  for (const size_t warp : order_of_warps) moved |= run_warp(warp);
  return moved;
}

/// As far as the warp gets without the others; in shuffled order a random part of that.
bool Block::run_warp(size_t warp) {
  bool moved = false;
  while (run_lanes(warp)) {
    moved = true;
    if (order == ThreadOrder::shuffled && random_() % 4 == 0) break;
  }
  return moved;
}

/// Each lane that can go on, once.
bool Block::run_lanes(size_t warp) {
  const size_t first = 32 * warp;
  const size_t lanes = std::min<size_t>(32, threads_.size() - first);
  std::array<uint8_t, 32> lane_order;
  for (size_t i = 0; i < lanes; ++i)
    lane_order[i] = static_cast<uint8_t>(order == ThreadOrder::reverse ? lanes - 1 - i : i);
  if (order == ThreadOrder::shuffled) std::shuffle(lane_order.begin(), lane_order.begin() + lanes, random_);
  bool moved = false;
  for (size_t i = 0; i < lanes; ++i) {
    const size_t index = first + lane_order[i];
    if (threads_[index].state != ThreadState::ready) continue;
    running_ = index;
    threadIdx = threads_[index].index;
    fibers_.resume(index);
    moved = true;
  }
  running_ = kNobody;
  return moved;
}

void Block::wait(ThreadState state) {
  thread().state = state;
  fibers_.suspend();
}

BarrierVotes Block::barrier(int predicate, const Site& site) {
  if (!barrier_stands(site)) return {1, predicate != 0 ? 1 : 0};
  if (arrived_ > 0 && !same(site, barrier_site_))
    kernel_fault(("divergent barrier: other threads of the block wait at " + text_of(barrier_site_)).c_str(), site);
  barrier_site_ = site;
  ++arrived_;
  if (predicate != 0) ++nonzero_;
  wait(ThreadState::at_barrier);
  return votes_;
}

bool Block::release_barrier() {
  if (arrived_ == 0 || static_cast<size_t>(arrived_) != threads_.size()) return false;
  votes_ = {arrived_, nonzero_};
  arrived_ = nonzero_ = 0;
  for (Thread& thread : threads_) thread.state = ThreadState::ready;
  return true;
}

WarpExchange::State* Block::exchange(uint32_t mask, const LaneValue& value, const char* operation, const Site& site) {
  Warp& warp = warps_[running_ / 32];
  if ((mask >> lane() & 1u) == 0)
    kernel_fault("a lane that its own mask does not name takes part in a warp operation", site);
  WarpExchange::State& state = warp.join(lane(), mask);
  if (state.arrived == 0) {
    state.operation = operation;
    state.site = site;
  } else if (!same(state.site, site)) {
    kernel_fault(
        ("divergent warp: other lanes wait in the " + std::string(state.operation) + " at " + text_of(state.site))
            .c_str(),
        site);
  }
  state.values[lane()] = value;
  state.arrived |= 1u << lane();
  thread().state = ThreadState::in_exchange;
  complete_exchanges(warp, running_ / 32 * 32);
  fibers_.suspend();
  return &state;
}

void Block::complete_exchanges(Warp& warp, size_t first_thread) {
  for (const auto& state : warp.exchanges) {
    if (state->free || state->complete || (state->mask & warp.live & ~state->arrived) != 0) continue;
    state->complete = true;
    for (unsigned lane = 0; lane < 32; ++lane)
      if ((state->arrived >> lane & 1u) != 0) threads_[first_thread + lane].state = ThreadState::ready;
  }
}

void Block::leave_exchange(WarpExchange::State& state) {
  state.left |= 1u << lane();
  if (state.left == state.arrived) state.free = true;
}

std::string Block::text() const {
  if (running_ == kNobody) return "";
  return "kernel " + function_name(launch_->kernel) + ", block " + text_of(index_) + ", thread " +
         text_of(threads_[running_].index);
}

/// No thread can go on, and not all are done.
void Block::report_standstill() const {
  std::fprintf(stderr, "emulated GPU: standstill in kernel %s, block %s of %zu threads: %zu have left the kernel",
               function_name(launch_->kernel).c_str(), text_of(index_).c_str(), threads_.size(), done_);
  if (arrived_ > 0) {
    std::fprintf(stderr, "; %d wait at the barrier %s, which all threads of the block must reach", arrived_,
                 text_of(barrier_site_).c_str());
  }
  std::fprintf(stderr, "\n");
  for (size_t warp = 0; warp < warps_.size(); ++warp) {
    for (const auto& state : warps_[warp].exchanges) {
      if (state->free || state->complete) continue;
      std::fprintf(stderr, "  warp %zu: lanes %08x wait in the %s at %s for lanes %08x\n", warp, state->arrived,
                   state->operation, text_of(state->site).c_str(), state->mask & warps_[warp].live & ~state->arrived);
    }
  }
  std::abort();
}

Block& current_block() {
  static Block& block = *new Block;  // kept until the process ends: static objects of others may still use it
  return block;
}

BarrierVotes block_barrier(int predicate, const Site& site) {
  if (!current_block().running()) kernel_fault("a barrier outside a kernel", site);
  return current_block().barrier(predicate, site);
}

WarpExchange::WarpExchange(uint32_t mask, const LaneValue& value, const char* operation, const Site& site) {
  if (!current_block().running()) kernel_fault("a warp operation outside a kernel", site);
  state_ = current_block().exchange(mask, value, operation, site);
}

WarpExchange::~WarpExchange() {
  current_block().leave_exchange(*state_);
}

const LaneValue& WarpExchange::of(unsigned lane) const {
  if (lane >= 32 || (state_->arrived >> lane & 1u) == 0) {
    kernel_fault(("the " + std::string(state_->operation) + " reads lane " + std::to_string(static_cast<int>(lane)) +
                  ", which takes no part in it")
                     .c_str(),
                 state_->site);
  }
  return state_->values[lane];
}

uint32_t WarpExchange::lanes() const {
  return state_->arrived;
}

bool WarpExchange::leads() const {
  return std::countr_zero(state_->arrived) == static_cast<int>(current_block().lane());
}

unsigned lane_index() {
  return current_block().lane();
}

void* dynamic_shared_memory() {
  return current_block().dynamic_memory();
}

bool is_kernel_stack(const void* address) {
  return current_block().is_stack(address);
}

std::string running_thread_text() {
  return current_block().text();
}

void kernel_fault(const char* what, const Site& site) {
  std::fprintf(stderr, "emulated GPU: %s, %s: %s\n", current_block().text().c_str(), text_of(site).c_str(), what);
  std::abort();
}

}  // namespace trireme::emulation
