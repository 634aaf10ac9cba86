#include "data/document_mask.h"

namespace trireme::data {

void mark_documents(std::span<const int32_t> tokens, int32_t end_of_text, const DocumentMask& row) {
  size_t begin = 0;
  for (size_t t = 0; t < tokens.size(); ++t) {
    row.first_keys[t] = static_cast<int32_t>(begin);
    row.positions[t] = static_cast<int32_t>(t - begin);
    if (tokens[t] != end_of_text) continue;
    row.targets[t] = -1;  // nothing in a document tells which one follows
    begin = t + 1;
  }
}

}  // namespace trireme::data
