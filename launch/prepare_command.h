// The command `trireme prepare`: text files to a prepared dataset on the real disk, and a short report for people. It
// knows no option parser.
#pragma once

#include <ostream>

#include "launch/options.h"

namespace trireme::launch {

/// Prepares and reports documents, bytes, tokens and splits to `out`. Returns the exit code 0; everything else is an
/// Error of one line.
int prepare(const PrepareOptions& options, std::ostream& out);

}  // namespace trireme::launch
