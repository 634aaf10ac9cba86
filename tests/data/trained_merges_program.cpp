// trained_merges_program PATTERN VOCABULARY_SIZE FILE: what the trainer learns from a file with the special token
// <|endoftext|>, as lines of two hexadecimal ids, for the comparison with Hugging Face (tests/parity/bpe_merges.py).
#include <fstream>
#include <iostream>
#include <sstream>

#include "data/bpe_trainer.h"
#include "data/splitter.h"
#include "tests/data/trained_merges.h"

int main(int argc, char** argv) {
  using namespace trireme::data;
  const char* pattern = argc == 4 ? pattern_by_name(argv[1]) : nullptr;
  if (pattern == nullptr) {
    std::cerr << "trained_merges_program gpt2|cl100k VOCABULARY_SIZE FILE\n";
    return 2;
  }
  std::ostringstream text;
  text << std::ifstream(argv[3], std::ios::binary).rdbuf();
  PieceCounts counts;
  counts.add_text(*make_splitter(pattern), text.str());
  std::cout << merges_text(train_bpe(
      counts, {.vocabulary_size = std::stol(argv[2]), .special_tokens = {"<|endoftext|>"}, .min_frequency = 2}));
  return 0;
}
