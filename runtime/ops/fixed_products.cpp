#include "runtime/ops/fixed_products.h"

#include <utility>

namespace trireme::runtime {
namespace {

thread_local bool is_wanted = false;

}  // namespace

FixedProducts::FixedProducts(bool wanted) : before_(std::exchange(is_wanted, is_wanted || wanted)) {}

FixedProducts::~FixedProducts() {
  is_wanted = before_;
}

bool FixedProducts::wanted() {
  return is_wanted;
}

}  // namespace trireme::runtime
