#include "tests/emulation/launch.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <memory>
#include <numeric>
#include <string_view>

#include "tests/emulation/block.h"
#include "tests/emulation/device_memory.h"
#include "tests/emulation/emulation.h"
#include "tests/emulation/include/cuda_runtime.h"
#include "tests/emulation/streams.h"

namespace trireme::emulation {

namespace {

constexpr size_t kSharedBytes =
    47 << 10;  ///< dynamic, without asking: 48 KiB, of which a kernel may use some statically
constexpr size_t kSharedBytesOptin = 227 << 10;  // of a block, with cudaFuncSetAttribute
constexpr size_t kSharedBytesOfProcessor = 228 << 10;
constexpr int kThreadsOfProcessor = 2048;
constexpr int kBlocksOfProcessor = 32;
constexpr unsigned kMaxThreads = 1024;

struct OrderOfThreads {
  ThreadOrder order = ThreadOrder::forward;
  uint64_t seed = 1;

  OrderOfThreads() {
    const char* set = std::getenv("TRIREME_EMULATION_ORDER");
    const std::string_view word = set == nullptr ? "" : set;
    if (word == "reverse") order = ThreadOrder::reverse;
    if (word.starts_with("shuffled")) order = ThreadOrder::shuffled;
    if (word.starts_with("shuffled:")) seed = std::strtoull(set + 9, nullptr, 10);
    if (!word.empty() && word != "forward" && order == ThreadOrder::forward) {
      std::fprintf(stderr, "TRIREME_EMULATION_ORDER is forward, reverse, shuffled or shuffled:SEED, not %s\n", set);
      std::abort();
    }
  }
};

OrderOfThreads& order_of_threads() {
  static OrderOfThreads order;
  return order;
}

std::map<const void*, size_t>& dynamic_limits() {  // of kernels that asked for more
  static auto& limits = *new std::map<const void*, size_t>;
  return limits;
}

size_t dynamic_limit(const void* kernel) {
  const auto found = dynamic_limits().find(kernel);
  return found == dynamic_limits().end() ? kSharedBytes : found->second;
}

int64_t launches = 0;

bool fits(dim3 sizes, unsigned x, unsigned y, unsigned z) {
  return sizes.x >= 1 && sizes.y >= 1 && sizes.z >= 1 && sizes.x <= x && sizes.y <= y && sizes.z <= z;
}

cudaError_t check(const cudaLaunchConfig_t& config, const void* kernel) {
  if (!fits(config.gridDim, 0x7fffffffu, 65535, 65535) || !fits(config.blockDim, kMaxThreads, kMaxThreads, 64) ||
      static_cast<uint64_t>(config.blockDim.x) * config.blockDim.y * config.blockDim.z > kMaxThreads)
    return cudaErrorInvalidConfiguration;
  if (config.dynamicSmemBytes > dynamic_limit(kernel)) return cudaErrorInvalidValue;
  for (unsigned i = 0; i < config.numAttrs; ++i)
    if (config.attrs[i].id == cudaLaunchAttributeClusterDimension) return cudaErrorNotSupported;
  return cudaSuccess;
}

}  // namespace

void set_thread_order(ThreadOrder order, uint64_t seed) {
  order_of_threads().order = order;
  order_of_threads().seed = seed;
}

ThreadOrder thread_order() {
  return order_of_threads().order;
}

int64_t kernels_run() {
  return launches;
}

void run_launch(const Launch& launch) {
  Block& block = current_block();
  block.order = order_of_threads().order;
  block.seed(order_of_threads().seed);
  const uint64_t count = static_cast<uint64_t>(launch.grid.x) * launch.grid.y * launch.grid.z;
  std::vector<uint64_t> shuffled;
  if (block.order == ThreadOrder::shuffled) {
    shuffled.resize(count);
    std::iota(shuffled.begin(), shuffled.end(), 0);
    std::shuffle(shuffled.begin(), shuffled.end(), block.random());
  }
  for (uint64_t i = 0; i < count; ++i) {
    uint64_t at = i;
    if (block.order == ThreadOrder::reverse) at = count - 1 - i;
    if (block.order == ThreadOrder::shuffled) at = shuffled[i];
    block.run(launch,
              {static_cast<unsigned>(at % launch.grid.x), static_cast<unsigned>(at / launch.grid.x % launch.grid.y),
               static_cast<unsigned>(at / launch.grid.x / launch.grid.y)});
  }
  ++launches;
}

cudaError_t launch_kernel(const cudaLaunchConfig_t* config, const void* kernel, std::function<void()> thread) {
  const auto lock = enter();
  if (config == nullptr || kernel == nullptr) return noted(cudaErrorInvalidValue);
  if (const cudaError_t wrong = check(*config, kernel); wrong != cudaSuccess) return noted(wrong);
  Launch launch{config->gridDim, config->blockDim, config->dynamicSmemBytes, kernel, std::move(thread)};
  return noted(enqueue_kernel(config->stream, [launch = std::move(launch)] { run_launch(launch); }));
}

/// The end of an allocation counts as part of it: an empty view may lie there.
void check_argument(const void* kernel, const void* pointer) {
  const auto lock = enter();
  const auto* before = static_cast<const unsigned char*>(pointer) - 1;
  if (pointer == nullptr || place_of(pointer).kind != MemoryKind::pageable ||
      place_of(before).kind != MemoryKind::pageable)
    return;
  std::fprintf(stderr, "emulated GPU: kernel %s was given %p, which is not memory of the device\n",
               function_name(kernel).c_str(), pointer);
  std::abort();
}

cudaError_t set_kernel_attribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  const auto lock = enter();
  if (kernel == nullptr) return noted(cudaErrorInvalidDeviceFunction);
  if (attribute == cudaFuncAttributePreferredSharedMemoryCarveout)
    return noted(value >= -1 && value <= 100 ? cudaSuccess : cudaErrorInvalidValue);
  if (attribute != cudaFuncAttributeMaxDynamicSharedMemorySize) return noted(cudaErrorInvalidValue);
  if (value < 0 || static_cast<size_t>(value) > kSharedBytesOptin) return noted(cudaErrorInvalidValue);
  dynamic_limits()[kernel] = static_cast<size_t>(value);
  return cudaSuccess;
}

/// As if registers were no limit.
cudaError_t active_blocks(int* blocks, const void* kernel, int threads, size_t dynamic_bytes) {
  const auto lock = enter();
  if (blocks == nullptr || kernel == nullptr || threads < 1) return noted(cudaErrorInvalidValue);
  const int by_memory = static_cast<int>(kSharedBytesOfProcessor / (dynamic_bytes + 1024));  // 1 KiB a block is taken
  const int by_threads = kThreadsOfProcessor / ((threads + 31) / 32 * 32);
  const bool runs = threads <= static_cast<int>(kMaxThreads) && dynamic_bytes <= dynamic_limit(kernel);
  *blocks = runs ? std::min({by_memory, by_threads, kBlocksOfProcessor}) : 0;
  return cudaSuccess;
}

}  // namespace trireme::emulation
