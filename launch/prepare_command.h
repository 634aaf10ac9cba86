// The command `trireme prepare`: text files to a prepared dataset on the real disk, and a short report for people. It
// knows no option parser.
#pragma once

#include <optional>
#include <ostream>
#include <string>
#include <vector>

namespace trireme::launch {

struct PrepareCommandOptions {
  std::vector<std::string> inputs;  ///< --input
  std::string output;               ///< --output
  std::string tokenizer = "byte";   ///< --tokenizer
  double validation_fraction = 0.1;
  std::optional<std::string> document_separator;
};

/// Prepares and reports documents, bytes, tokens and splits to `out`. Returns the exit code 0; everything else is an
/// Error of one line.
int prepare(const PrepareCommandOptions& options, std::ostream& out);

}  // namespace trireme::launch
