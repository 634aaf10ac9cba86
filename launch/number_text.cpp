#include "launch/number_text.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace trireme::launch {

std::string number_text(double value) {
  std::array<char, 64> buffer{};
  const double size = std::fabs(value);
  const bool plain = value == 0 || (size >= 1e-5 && size < 1e15);
  const auto format = plain ? std::chars_format::fixed : std::chars_format::scientific;
  const auto [end, error] = std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, format);
  return {buffer.data(), end};
}

std::string grouped(int64_t value) {
  std::string digits = std::to_string(value);
  const size_t first = value < 0 ? 1 : 0;
  for (size_t i = digits.size(); i > first + 3;) {
    i -= 3;
    digits.insert(i, 1, ',');
  }
  return digits;
}

std::string fixed_text(double value, int places) {
  std::array<char, 400> buffer{};
  const auto [end, error] =
      std::to_chars(buffer.data(), buffer.data() + buffer.size(), value, std::chars_format::fixed, places);
  return {buffer.data(), end};
}

std::string sizes_text(std::span<const int64_t> sizes) {
  std::string text;
  for (const int64_t size : sizes) text += (text.empty() ? "" : "x") + std::to_string(size);
  return text;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text;
  for (int64_t size : shape) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "(" + text + ")";
}

std::string counted(int64_t count, const std::string& noun) {
  return counted(count, noun, noun + "s");
}

std::string counted(int64_t count, const std::string& noun, const std::string& plural) {
  return std::to_string(count) + " " + (count == 1 ? noun : plural);
}

std::string bytes_text(int64_t bytes) {
  static constexpr std::array<const char*, 4> kUnits = {"kB", "MB", "GB", "TB"};
  if (bytes < 1000) return counted(bytes, "byte");
  double value = static_cast<double>(bytes) / 1000;
  size_t unit = 0;
  for (; value >= 1000 && unit + 1 < kUnits.size(); ++unit) value /= 1000;
  return fixed_text(value, 1) + " " + kUnits[unit];
}

std::string rate_text(double per_second, const std::string& unit) {
  if (per_second >= 1e12) return fixed_text(per_second / 1e12, 1) + " T" + unit + "/s";
  if (per_second >= 1e9) return fixed_text(per_second / 1e9, 1) + " G" + unit + "/s";
  return fixed_text(per_second / 1e6, 1) + " M" + unit + "/s";
}

std::string time_text(double seconds) {
  if (seconds < 1e-3) return fixed_text(seconds * 1e6, 1) + " us";
  if (seconds < 1) return fixed_text(seconds * 1e3, 1) + " ms";
  return fixed_text(seconds, 1) + " s";
}

std::string duration_text(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return "?";
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  const auto two = [](int64_t large, const char* large_unit, int64_t small, const char* small_unit) {
    std::array<char, 64> buffer{};
    std::snprintf(buffer.data(), buffer.size(), "%lld%s %02lld%s", static_cast<long long>(large), large_unit,
                  static_cast<long long>(small), small_unit);
    return std::string(buffer.data());
  };
  if (whole < 60) return std::to_string(whole) + "s";
  if (whole < 3600) return two(whole / 60, "m", whole % 60, "s");
  if (whole < 86400) return two(whole / 3600, "h", whole % 3600 / 60, "m");
  return two(whole / 86400, "d", whole % 86400 / 3600, "h");
}

}  // namespace trireme::launch
