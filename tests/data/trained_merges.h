// The canonical text of a vocabulary's merges, of which fixtures hold the digest.
#pragma once

#include <sstream>
#include <string>

#include "data/bpe_vocabulary.h"

namespace trireme::data {

/// "LEFT RIGHT\n" for each merge, ids in hexadecimal.
inline std::string merges_text(const BpeVocabulary& vocabulary) {
  std::ostringstream text;
  text << std::hex;
  for (const auto& [left, right] : vocabulary.merges) text << left << ' ' << right << '\n';
  return text.str();
}

}  // namespace trireme::data
