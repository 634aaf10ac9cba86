// What this machine can do at best, measured with compute_threads() threads: the figures that benches, profiles and mfu
// are held against. Every rate is that of the shortest of many short runs: neighbours, interrupts and cold caches only
// ever make a run longer. It does not know where the figures are kept (calibration.h).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace trireme::runtime {

/// flop/s of fp32 multiply-adds on registers alone, all threads at once; a multiply-add is two flops.
double measure_fma_peak(double seconds = 0.3);

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
/// The three products of each shape in turn, fp32, as ops/linear.h computes them; about `seconds` for each product, two
/// runs at least.
std::vector<ProductRate> measure_products(std::span<const ProductShape> shapes, double seconds = 0.1);

}  // namespace trireme::runtime
