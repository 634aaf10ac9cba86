// The tokenizer without a vocabulary file: id = byte, and one id more for the end of a text. Any bytes survive the
// round trip, so it needs no cleaning of the text.
#pragma once

#include "data/tokenizer.h"

namespace trireme::data {

class ByteTokenizer : public Tokenizer {
 public:
  static constexpr int32_t kEndOfText = 256;

  void encode(std::string_view text, std::vector<int32_t>& ids,
              SpecialTokens special = SpecialTokens::as_text) const override;
  std::string decode(std::span<const int32_t> ids) const override;
  int64_t vocabulary_size() const override { return kEndOfText + 1; }
  bool has_safe_cuts() const override { return true; }
  int32_t end_of_text() const override { return kEndOfText; }
  boost::json::object description() const override { return {{"kind", "byte"}}; }
  std::string file_text() const override { return ""; }
};

}  // namespace trireme::data
