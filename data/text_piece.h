// Text on its way from files to tokens: a document, or a part of a long one, with where it comes from.
#pragma once

#include <cstdint>
#include <string>

namespace trireme::data {

struct TextPiece {
  std::string text;
  int64_t source = 0;    ///< index of its file among the texts
  int64_t row = 0;       ///< line of a .jsonl file, or number of the document in its file, from 1
  bool is_first = true;  ///< a document begins here
  bool is_last = true;   ///< and ends here
};

}  // namespace trireme::data
