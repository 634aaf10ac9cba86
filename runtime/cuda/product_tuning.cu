#include "runtime/cuda/product_tuning.cuh"

#include <algorithm>

#include "runtime/cuda/launch.cuh"
#include "runtime/cuda/vectors.cuh"

namespace trireme::runtime::cuda {
namespace {

constexpr int kTimedCalls = 5;
constexpr int kThreads = 256;

/// [-1, 1) from the bits of an index: the finaliser of MurmurHash3 (A. Appleby). Nothing depends on its quality.
__device__ __forceinline__ float noise(int64_t index) {
  uint32_t bits = static_cast<uint32_t>(index) * 0x9E3779B9u + static_cast<uint32_t>(index >> 32);
  bits = (bits ^ (bits >> 16)) * 0x85EBCA6Bu;
  bits = (bits ^ (bits >> 13)) * 0xC2B2AE35u;
  bits ^= bits >> 16;
  return static_cast<float>(bits >> 8) * 0x1p-23f - 1.0f;
}

template <typename T>
__global__ void fill_with_noise(T* values, int64_t count) {
  const int64_t step = int64_t{gridDim.x} * blockDim.x;
  for (int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x; i < count; i += step) store(values + i, noise(i));
}

void fill(CudaQueue& queue, void* values, DType dtype, int64_t count) {
  constexpr int64_t kMostBlocks = 2048;
  const auto blocks = static_cast<unsigned>(std::min<int64_t>(kMostBlocks, blocks_for(count, kThreads)));
  const Grid grid{.blocks = {blocks}, .threads = {kThreads}};
  if (dtype == DType::bf16) {
    launch(queue, grid, fill_with_noise<bf16>, static_cast<bf16*>(values), count);
  } else {
    launch(queue, grid, fill_with_noise<float>, static_cast<float*>(values), count);
  }
}

/// A place for `bytes` behind `used`, aligned to exactly `alignment` (a power of two up to 128, of memory aligned to
/// 256); `used` moves behind it.
int64_t place(int64_t& used, int64_t bytes, int64_t alignment) {
  constexpr int64_t kBest = 256;
  const int64_t at = (used + kBest - 1) / kBest * kBest + alignment;
  used = at + bytes;
  return at;
}

}  // namespace

TuningOperands::TuningOperands(CudaQueue& queue, const ProductKey& key) : queue_(queue) {
  const ProductSizes sizes = sizes_of(key);
  struct Operand {
    DType dtype;
    int64_t elements;
    int64_t at = 0;
  };
  Operand parts[] = {{sizes.factors, sizes.left},
                     {sizes.factors, sizes.right},
                     {sizes.result, sizes.result_elements},
                     {sizes.bias, sizes.bias_elements}};
  int64_t bytes = 0;
  for (Operand& part : parts) {
    const int64_t element_bytes = size_bytes(part.dtype);  // fp32 sums beside bf16 factors at odd places
    part.at = place(bytes, part.elements * element_bytes, std::max(key.alignment_bytes, element_bytes));
  }
  memory_ = DeviceMemory(bytes);
  auto* base = static_cast<std::byte*>(memory_.data());
  for (const Operand& part : parts) {
    if (part.elements > 0) fill(queue, base + part.at, part.dtype, part.elements);
  }
  operands_ = {base + parts[0].at, base + parts[1].at, base + parts[2].at, base + parts[3].at};
}

TuningOperands::~TuningOperands() {
  cudaStreamSynchronize(queue_.stream());  // a failure shows at the next call that checks
}

double microseconds_of(CudaQueue& queue, const std::function<void()>& action) {
  const CudaEventPointer begin = make_event();
  const CudaEventPointer end = make_event();
  action();
  mark(queue, *begin);
  for (int i = 0; i < kTimedCalls; ++i) action();
  mark(queue, *end);
  wait(queue);
  return seconds_between(*begin, *end) * 1e6 / kTimedCalls;
}

std::optional<TimedAlgorithm> fastest_algorithm(CudaQueue& queue, const LtProduct& product,
                                                const ProductOperands& operands, void* workspace) {
  std::optional<TimedAlgorithm> best;
  for (const ProductAlgorithm& algorithm : product.candidates()) {
    if (!product.accepts(algorithm)) continue;
    bool runs = true;
    const double microseconds =
        microseconds_of(queue, [&] { runs = runs && product.try_run(queue.stream(), operands, algorithm, workspace); });
    if (runs && (!best || microseconds < best->microseconds)) best = {algorithm, microseconds};
  }
  return best;
}

}  // namespace trireme::runtime::cuda
