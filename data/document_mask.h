// Which tokens of a window belong to the same document, for training that keeps documents apart.
#pragma once

#include <cstdint>
#include <span>

namespace trireme::data {

/// One row of a microbatch, T elements each.
struct DocumentMask {
  std::span<int32_t> positions;   ///< of a token in its document; the first of a window counts as a document's first
  std::span<int32_t> first_keys;  ///< place in the window of the first token of its document
  std::span<int32_t> targets;     ///< -1 where the target is the first token of another document; else untouched
};

/// Every document ends with the token `end_of_text`, which belongs to it.
void mark_documents(std::span<const int32_t> tokens, int32_t end_of_text, const DocumentMask& row);

}  // namespace trireme::data
