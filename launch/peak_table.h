// A calibration as a table for people.
#pragma once

#include <string>

#include "runtime/calibration.h"

namespace trireme::launch {

/// Machine, peaks, products and messages, lines of at most 80 columns.
std::string peak_table(const runtime::Calibration& calibration);

/// "391.2 Gflop/s", "3.1 Tflop/s": three digits or four in the unit that suits; "27.0 GB/s" likewise.
std::string rate_text(double per_second, const std::string& unit);

/// "1.2 us", "3.4 ms", "5.6 s"
std::string time_text(double seconds);

}  // namespace trireme::launch
