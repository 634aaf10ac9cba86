// Element types of views, files and messages.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "runtime/bf16.h"

namespace trireme::runtime {

enum class DType { u8, u16, i32, i64, bf16, fp32, fp64 };

int64_t size_bytes(DType dtype);

/// "fp32"; the spelling used in manifests and messages.
std::string_view name(DType dtype);
std::optional<DType> dtype_from_name(std::string_view name);

/// The C++ type of each DType: dtype_of<float> == DType::fp32.
template <typename T>
constexpr DType dtype_of = [] {
  static_assert(sizeof(T) == 0, "no DType for this type");
  return DType::u8;
}();
template <>
inline constexpr DType dtype_of<uint8_t> = DType::u8;
template <>
inline constexpr DType dtype_of<uint16_t> = DType::u16;
template <>
inline constexpr DType dtype_of<int32_t> = DType::i32;
template <>
inline constexpr DType dtype_of<int64_t> = DType::i64;
template <>
inline constexpr DType dtype_of<bf16> = DType::bf16;
template <>
inline constexpr DType dtype_of<float> = DType::fp32;
template <>
inline constexpr DType dtype_of<double> = DType::fp64;

}  // namespace trireme::runtime
