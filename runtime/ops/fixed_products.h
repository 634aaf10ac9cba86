// Products whose bits do not depend on the number of threads. OpenBLAS divides one product among its threads in ways
// that change the order of sums: over an odd number of terms with AVX-512, at the edges of a matrix with AVX2.
#pragma once

namespace trireme::runtime {

/// While one that is wanted lives, fp32 products on the CPU that its thread begins are cut into blocks of 256 x 256 of
/// the result, the same for every number of threads, and each block is one thread's. A rank of one thread takes about
/// 5% more time for products so.
class FixedProducts {
 public:
  explicit FixedProducts(bool wanted);
  ~FixedProducts();
  FixedProducts(const FixedProducts&) = delete;
  FixedProducts& operator=(const FixedProducts&) = delete;

  /// Whether products that this thread begins are to be cut so.
  static bool wanted();

 private:
  bool before_;
};

}  // namespace trireme::runtime
