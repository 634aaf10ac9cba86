// A calibration as a table for people.
#pragma once

#include <string>

#include "runtime/calibration.h"

namespace trireme::launch {

/// Machine, peaks, products and messages, lines of at most 80 columns.
std::string peak_table(const runtime::Calibration& calibration);

}  // namespace trireme::launch
