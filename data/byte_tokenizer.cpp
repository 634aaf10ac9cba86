#include "data/byte_tokenizer.h"

#include "runtime/error.h"

namespace trireme::data {

void ByteTokenizer::encode(std::string_view text, std::vector<int32_t>& ids, SpecialTokens) const {
  const auto* bytes = reinterpret_cast<const unsigned char*>(text.data());
  ids.insert(ids.end(), bytes, bytes + text.size());
}

std::string ByteTokenizer::decode(std::span<const int32_t> ids) const {
  std::string bytes;
  bytes.reserve(ids.size());
  for (const int32_t id : ids) {
    if (id == kEndOfText) continue;
    if (id < 0 || id > kEndOfText) {
      throw runtime::Error(runtime::ErrorKind::data, "token id " + std::to_string(id) +
                                                         " is not in the byte tokenizer's vocabulary of " +
                                                         std::to_string(vocabulary_size()));
    }
    bytes.push_back(static_cast<char>(id));
  }
  return bytes;
}

}  // namespace trireme::data
