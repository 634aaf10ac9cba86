#include "runtime/cuda/product_key.h"

#include <string_view>

namespace trireme::runtime::cuda {
namespace {

std::string_view word(ProductKind kind) {
  switch (kind) {
    case ProductKind::forward:
      return "forward";
    case ProductKind::forward_bias:
      return "forward_bias";
    case ProductKind::forward_onto:
      return "forward_onto";
    case ProductKind::backward_input:
      return "backward_input";
    case ProductKind::backward_weight:
      return "backward_weight";
    case ProductKind::backward_weight_bias:
      return "backward_weight_bias";
  }
  return "";
}

}  // namespace

std::string to_string(const ProductKey& key) {
  return std::string(word(key.kind)) + " " + std::string(name(key.storage)) + " N" + std::to_string(key.N) + " in" +
         std::to_string(key.C_in) + " out" + std::to_string(key.C_out) + " aligned" +
         std::to_string(key.alignment_bytes);
}

}  // namespace trireme::runtime::cuda
