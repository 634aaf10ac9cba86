// A large text made of small real ones, for benches: all their lines in another order each time round, with as many
// misspelt words as it takes for a realistic number of distinct ones.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace trireme::data {

struct MadeTextOptions {
  std::vector<std::string> sources;  ///< files and directories; of these, all files of text
  int64_t bytes = 0;
  double misspelt = 0;  ///< share of the words of three letters or more in which one letter is replaced
  uint64_t seed = 1;
};

/// About `bytes` of distinct lines of UTF-8, each as often as the others. Error(usage) when there are none.
std::string make_text(const MadeTextOptions& options);

}  // namespace trireme::data
