// What this machine can do at best, measured with compute_threads() threads: the figures that benches, profiles and mfu
// are held against. Every rate is the work of one run by the seconds of the shortest of several (shortest_run.h: five
// at least, after one that warms up). It does not know where the figures are kept (calibration.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace trireme::runtime {

/// flop/s of fp32 multiply-adds on registers alone, all threads at once; a multiply-add is two flops.
double measure_fma_peak(double seconds = 0.3);
/// Of one run on `chains` registers of 16 floats in each thread: some 2^29 a thread.
int64_t fma_run_flops(int64_t chains, int64_t threads);

/// bytes/s between memory and registers. What is written goes past the caches (non-temporal stores), which costs no
/// read of the line before it is written.
struct MemoryRates {
  double read = 0;   ///< sum of x: 4 bytes an element
  double copy = 0;   ///< y = x: 8 bytes an element
  double triad = 0;  ///< z = x + a y: 12 bytes an element
  /// What an op that moves bytes could reach.
  double best() const;
};
/// `block_bytes` are read whole, copied from one half to the other, and added in thirds: it should be far beyond the
/// last cache (300 MiB on an AMX-class Xeon). Each of the three takes about `seconds`.
MemoryRates measure_memory(int64_t block_bytes = int64_t{3} << 28, double seconds = 0.25);
/// A run of each over a block of so many floats, whose halves and thirds are whole.
struct MemoryRun {
  int64_t elements = 0;
  int64_t read_bytes() const;
  int64_t copy_bytes() const;
  int64_t triad_bytes() const;
};
/// The largest run that fits `block_bytes`, or the smallest there is (1.5 MiB).
MemoryRun memory_run(int64_t block_bytes);

/// x (N, C_in) times w (C_out, C_in).
struct ProductShape {
  int64_t N = 0;
  int64_t C_in = 0;
  int64_t C_out = 0;
  bool operator==(const ProductShape&) const = default;
};
struct ProductRate {
  std::string op;  ///< linear_forward, linear_backward_input or linear_backward_weight
  ProductShape shape;
  double flops_per_second = 0;
};
/// Of any of the three.
int64_t product_flops(const ProductShape& shape);
/// The three products of each shape in turn, fp32, as ops/linear.h computes them; about `seconds` for each product, and
/// longer for those that five runs take longer.
std::vector<ProductRate> measure_products(std::span<const ProductShape> shapes, double seconds = 0.1);

}  // namespace trireme::runtime
