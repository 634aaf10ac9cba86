#include "launch/slurm/job_time.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <limits>

namespace trireme::launch {
namespace {

constexpr double kDay = 86400;

/// The numbers between colons, at most three; how many, 0: it is other text.
size_t numbers_between_colons(std::string_view text, std::array<double, 3>& numbers) {
  for (size_t count = 0; count < numbers.size(); ++count) {
    const size_t colon = std::min(text.find(':'), text.size());
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + colon, value);
    if (error != std::errc() || end != text.data() + colon || value < 0) return 0;
    numbers[count] = value;
    if (colon == text.size()) return count + 1;
    text.remove_prefix(colon + 1);
  }
  return 0;
}

}  // namespace

std::optional<double> slurm_seconds(std::string_view text) {
  if (text == "INFINITE" || text == "UNLIMITED") return std::numeric_limits<double>::infinity();
  std::array<double, 3> numbers{};
  const size_t dash = text.find('-');
  double seconds = 0;
  if (dash != std::string_view::npos) {
    std::array<double, 3> days{};
    if (numbers_between_colons(text.substr(0, dash), days) != 1) return std::nullopt;
    if (numbers_between_colons(text.substr(dash + 1), numbers) == 0) return std::nullopt;
    seconds = days[0] * kDay + numbers[0] * 3600 + numbers[1] * 60 + numbers[2];
  } else {
    const size_t count = numbers_between_colons(text, numbers);
    if (count == 0) return std::nullopt;
    seconds = count == 3 ? numbers[0] * 3600 + numbers[1] * 60 + numbers[2] : numbers[0] * 60 + numbers[1];
  }
  return seconds == 0 ? std::numeric_limits<double>::infinity() : seconds;
}

int warning_seconds(double limit_seconds) {
  return static_cast<int>(std::min(120.0, limit_seconds / 6));
}

}  // namespace trireme::launch
