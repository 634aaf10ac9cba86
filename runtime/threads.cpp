#include "runtime/threads.h"

#include <cassert>

#include <cblas.h>
#include <omp.h>

namespace trireme::runtime {

int compute_threads() {
  return omp_get_max_threads();
}

void set_compute_threads(int threads) {
  assert(threads >= 1);
  omp_set_num_threads(threads);
  openblas_set_num_threads(threads);
}

}  // namespace trireme::runtime
