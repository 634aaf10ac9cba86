#include "runtime/machine_peaks.h"

#include <xmmintrin.h>

#include <algorithm>

#include "runtime/arena.h"
#include "runtime/ops/linear.h"
#include "runtime/shortest_run.h"
#include "runtime/simd.h"
#include "runtime/threads.h"

namespace trireme::runtime {
namespace {

/// Keeps results, so that the compiler cannot leave out what computes them.
thread_local volatile float kept;  // each thread its own: they write at once

constexpr int64_t kLanes = 16;  // of a 512-bit register

/// `count` multiply-adds on each lane of `kChains` registers, which do not wait for each other.
template <int kChains>
TRIREME_SIMD float multiply_add_chains(int64_t count, float factor, float term) {
  float chains[kChains][kLanes];
  for (int chain = 0; chain < kChains; ++chain) {
    for (int64_t lane = 0; lane < kLanes; ++lane) chains[chain][lane] = static_cast<float>(chain);
  }
  for (int64_t i = 0; i < count; ++i) {
#pragma GCC unroll 16
    for (int chain = 0; chain < kChains; ++chain) {
#pragma omp simd
      for (int64_t lane = 0; lane < kLanes; ++lane) chains[chain][lane] = chains[chain][lane] * factor + term;
    }
  }
  float sum = 0;
  for (int chain = 0; chain < kChains; ++chain) {
    for (int64_t lane = 0; lane < kLanes; ++lane) sum += chains[chain][lane];
  }
  return sum;
}

/// Multiply-adds of a lane in one run: 3 ms at 200 Gflop/s.
constexpr int64_t chain_length(int64_t chains) {
  constexpr int64_t kFlopsOfAThread = 1 << 29;
  return kFlopsOfAThread / (2 * kLanes * chains);
}

/// flop/s of all threads together.
template <int kChains>
double chain_rate(double seconds) {
  const double shortest = shortest_run(seconds, [] {
#pragma omp parallel
    kept = multiply_add_chains<kChains>(chain_length(kChains), 0.999f, 0.001f);
  });
  return static_cast<double>(fma_run_flops(kChains, compute_threads())) / shortest;
}

TRIREME_SIMD float sum_of(const float* x, int64_t count) {
  float sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = 0; i < count; ++i) sum += x[i];
  return sum;
}

// Non-temporal stores of 16 bytes are joined to whole lines on their way out: wider ones are not faster.
constexpr int64_t kStore = 4;

void copy_past_caches(const float* x, float* y, int64_t count) {
  for (int64_t i = 0; i < count; i += kStore) _mm_stream_ps(y + i, _mm_load_ps(x + i));
  _mm_sfence();
}

void triad_past_caches(const float* x, const float* y, float* z, int64_t count) {
  const __m128 factor = _mm_set1_ps(0.5f);
  for (int64_t i = 0; i < count; i += kStore) {
    _mm_stream_ps(z + i, _mm_add_ps(_mm_load_ps(x + i), _mm_mul_ps(factor, _mm_load_ps(y + i))));
  }
  _mm_sfence();
}

/// Calls kernel(begin, count) for pieces of [0, elements), each thread on a run of them.
constexpr int64_t kPiece = 1 << 16;
template <typename Kernel>
void over_pieces(int64_t elements, Kernel&& kernel) {
#pragma omp parallel for schedule(static)
  for (int64_t begin = 0; begin < elements; begin += kPiece) kernel(begin, std::min(kPiece, elements - begin));
}

/// Operands of one shape's three products and what they need for a while.
struct ProductOperands {
  View x, dy, dx, y, weight, dweight;
};

ProductOperands make_operands(Arena& arena, const ProductShape& shape) {
  const auto [N, C_in, C_out] = shape;
  return {.x = arena.allocate(DType::fp32, {N, C_in}),
          .dy = arena.allocate(DType::fp32, {N, C_out}),
          .dx = arena.allocate(DType::fp32, {N, C_in}),
          .y = arena.allocate(DType::fp32, {N, C_out}),
          .weight = arena.allocate(DType::fp32, {C_out, C_in}),
          .dweight = arena.allocate(DType::fp32, {C_out, C_in})};
}

void fill_with_values(View view) {
  float* values = view.as<float>();
  for (int64_t i = 0; i < view.elements(); ++i) values[i] = static_cast<float>(i % 61) / 61 - 0.5f;
}

void run_forward(Stream& stream, const ProductOperands& o, Arena& scratch) {
  linear_forward(stream, {.x = o.x, .weight = o.weight, .y = o.y}, scratch);
}
void run_backward_input(Stream& stream, const ProductOperands& o, Arena& scratch) {
  linear_backward_input(stream, o.dy, o.weight, o.dx, scratch);
}
void run_backward_weight(Stream& stream, const ProductOperands& o, Arena& scratch) {
  linear_backward_weight(stream, o.dy, o.x, o.dweight, {}, scratch);
}

struct Product {
  const char* op;
  void (*run)(Stream&, const ProductOperands&, Arena&);
};
constexpr Product kProducts[] = {{"linear_forward", run_forward},
                                 {"linear_backward_input", run_backward_input},
                                 {"linear_backward_weight", run_backward_weight}};

}  // namespace

double MemoryRates::best() const {
  return std::max({read, copy, triad});
}

double measure_fma_peak(double seconds) {
  // An FMA takes four or five cycles, and two start in each: eight to ten registers must be under way. Six of 512 bits
  // are twelve of the sixteen that AVX2 has; AVX-512 has thirty-two.
  return std::max(chain_rate<6>(seconds / 2), chain_rate<12>(seconds / 2));
}

int64_t fma_run_flops(int64_t chains, int64_t threads) {
  return 2 * kLanes * chains * chain_length(chains) * threads;
}

int64_t MemoryRun::read_bytes() const {
  return elements * size_bytes(DType::fp32);
}
int64_t MemoryRun::copy_bytes() const {
  return 2 * (elements / 2) * size_bytes(DType::fp32);
}
int64_t MemoryRun::triad_bytes() const {
  return 3 * (elements / 3) * size_bytes(DType::fp32);
}

MemoryRun memory_run(int64_t block_bytes) {
  constexpr int64_t kUnit = 3 * 2 * kPiece;  // halves and thirds of whole pieces
  return {.elements = std::max<int64_t>(1, block_bytes / size_bytes(DType::fp32) / kUnit) * kUnit};
}

int64_t product_flops(const ProductShape& shape) {
  return 2 * shape.N * shape.C_in * shape.C_out;
}

MemoryRates measure_memory(int64_t block_bytes, double seconds) {
  const MemoryRun run = memory_run(block_bytes);
  Arena arena = Arena::host("memory block", run.read_bytes());
  float* block = arena.allocate(DType::fp32, {run.elements}).as<float>();
  const auto rate = [&](int64_t bytes, auto&& action) {
    return static_cast<double>(bytes) / shortest_run(seconds, action);
  };
  const int64_t elements = run.elements;
  const int64_t half = elements / 2;
  const int64_t third = elements / 3;
  return {
      .read = rate(
          run.read_bytes(),
          [&] { over_pieces(elements, [&](int64_t begin, int64_t count) { kept = sum_of(block + begin, count); }); }),
      .copy = rate(run.copy_bytes(),
                   [&] {
                     over_pieces(half, [&](int64_t begin, int64_t count) {
                       copy_past_caches(block + begin, block + half + begin, count);
                     });
                   }),
      .triad = rate(run.triad_bytes(), [&] {
        over_pieces(third, [&](int64_t begin, int64_t count) {
          triad_past_caches(block + begin, block + third + begin, block + 2 * third + begin, count);
        });
      })};
}

std::vector<ProductRate> measure_products(std::span<const ProductShape> shapes, double seconds) {
  Arena dry_operands = Arena::dry("operands");
  Arena dry_scratch = Arena::dry("scratch");
  Stream dry(Device::dry);
  for (const ProductShape& shape : shapes) {
    dry_operands.reset();
    const ProductOperands operands = make_operands(dry_operands, shape);
    for (const Product& product : kProducts) product.run(dry, operands, dry_scratch);
  }
  Arena arena = Arena::host("operands", dry_operands.peak_bytes());
  Arena scratch = Arena::host("scratch", dry_scratch.peak_bytes());
  Stream stream(Device::cpu);
  std::vector<ProductRate> rates;
  for (const ProductShape& shape : shapes) {
    arena.reset();
    const ProductOperands operands = make_operands(arena, shape);
    for (const View& view : {operands.x, operands.dy, operands.weight}) fill_with_values(view);
    std::fill_n(operands.dweight.as<float>(), operands.dweight.elements(), 0.0f);
    for (const Product& product : kProducts) {
      const double shortest = shortest_run(seconds, [&] { product.run(stream, operands, scratch); });
      rates.push_back(
          {.op = product.op, .shape = shape, .flops_per_second = static_cast<double>(product_flops(shape)) / shortest});
    }
  }
  return rates;
}

}  // namespace trireme::runtime
