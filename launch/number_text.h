// Numbers as text for people and for files that are read back: the shortest digits that give the same value again.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace trireme::launch {

/// 2.5, 0.0006, 1e-08, 3: plain where that is readable (1e-5 to 1e15), with an exponent elsewhere; nan, inf.
std::string number_text(double value);

/// 12,345,678
std::string grouped(int64_t value);

/// 2.50 for (2.5, 2)
std::string fixed_text(double value, int places);

/// "768x64"
std::string sizes_text(std::span<const int64_t> sizes);

/// "(768, 64)"
std::string shape_text(const std::vector<int64_t>& shape);

/// "1 document", "2 documents"
std::string counted(int64_t count, const std::string& noun);
/// The same for a plural of its own: "2 microbatches".
std::string counted(int64_t count, const std::string& noun, const std::string& plural);

/// "12 bytes", "1.5 GB" (powers of 1,000)
std::string bytes_text(int64_t bytes);

/// "391.2 Gflop/s", "3.1 Tflop/s", "0.5 MB/s" for units "flop" and "B"
std::string rate_text(double per_second, const std::string& unit);

/// What is short: "1.2 us", "3.4 ms", "5.6 s"
std::string time_text(double seconds);

/// What people wait for: "48s", "3m 05s", "2h 07m", "3d 04h"
std::string duration_text(double seconds);

}  // namespace trireme::launch
