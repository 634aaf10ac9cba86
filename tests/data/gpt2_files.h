// Where GPT-2's vocab.json and merges.txt lie for tests: TRIREME_TEST_DATA, beside the checkout unless it is set.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace trireme::data {

inline std::string gpt2_directory() {
  const char* given = std::getenv("TRIREME_TEST_DATA");
  return std::string(given != nullptr ? given : "../shared/data") + "/gpt2-tokenizer";
}

inline bool has_gpt2_files() {
  return std::filesystem::exists(gpt2_directory());
}

}  // namespace trireme::data
