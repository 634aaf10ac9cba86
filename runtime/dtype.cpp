#include "runtime/dtype.h"

#include <array>

namespace trireme::runtime {
namespace {

struct Row {
  DType dtype;
  std::string_view name;
  int64_t size_bytes;
};
constexpr std::array<Row, 7> kRows = {{{DType::u8, "u8", 1},
                                       {DType::u16, "u16", 2},
                                       {DType::i32, "i32", 4},
                                       {DType::i64, "i64", 8},
                                       {DType::bf16, "bf16", 2},
                                       {DType::fp32, "fp32", 4},
                                       {DType::fp64, "fp64", 8}}};

const Row& row(DType dtype) {
  return kRows[static_cast<size_t>(dtype)];
}

}  // namespace

int64_t size_bytes(DType dtype) {
  return row(dtype).size_bytes;
}

std::string_view name(DType dtype) {
  return row(dtype).name;
}

std::optional<DType> dtype_from_name(std::string_view name) {
  for (const Row& r : kRows) {
    if (r.name == name) return r.dtype;
  }
  return std::nullopt;
}

}  // namespace trireme::runtime
