// Byte-level BPE from text to ids: added tokens are cut out, what is left is brought to its normal forms, split into
// pieces and encoded. Ids are those of Hugging Face's tokenizers (merges) or of tiktoken (ranks) with the same parts.
#pragma once

#include <string>
#include <unordered_map>

#include "data/added_tokens.h"
#include "data/bpe_encoder.h"
#include "data/splitter.h"
#include "data/tokenizer.h"
#include "data/tokenizer_parts.h"

namespace trireme::data {

class BpeTokenizer : public Tokenizer {
 public:
  /// Parts that check_parts (tokenizer_parts.h) refuses are its Error.
  explicit BpeTokenizer(const TokenizerParts& parts);

  /// A text of 2^32 bytes or more (2^31 with normal forms) that has no safe cuts is Error(data).
  void encode(std::string_view text, std::vector<int32_t>& ids,
              SpecialTokens special = SpecialTokens::as_text) const override;
  /// Ordinary added tokens give their content, ids below the vocabulary's size that are no token give nothing.
  std::string decode(std::span<const int32_t> ids) const override;
  int64_t vocabulary_size() const override { return static_cast<int64_t>(bytes_of_.size()); }
  bool has_safe_cuts() const override { return has_safe_cuts(SpecialTokens::as_text); }
  int32_t end_of_text() const override { return end_of_text_; }
  /// Kind, mode, pattern, sizes and the SHA-256 of the tokenizer.json that tokenizer_json (tokenizer_json.h) gives for
  /// the parts: the tokenizer itself lies in that file. "unicode_version" is of the splitter's tables, and
  /// "normal_form_unicode_version" of the normal forms'; each is there only where they are.
  boost::json::object description() const override { return description_; }
  std::string file_text() const override { return file_text_; }

 private:
  bool has_safe_cuts(SpecialTokens special) const;
  struct Output {
    std::vector<int32_t>& ids;
    std::vector<uint32_t> ends;  // of pieces: scratch
  };
  void encode_part(std::string_view text, SpecialTokens special, Output& output) const;
  void encode_unmatched(std::string_view text, SpecialTokens special, Output& output) const;
  void encode_plain(std::string_view text, Output& output) const;

  std::vector<NormalForm> normal_forms_;
  bool add_prefix_space_;
  AddedTokenMatcher raw_matcher_;         // on the text as it is
  AddedTokenMatcher normalized_matcher_;  // on its normal form
  std::unique_ptr<Splitter> splitter_;    // null: text is not cut
  BpeEncoder encoder_;
  std::vector<std::string> bytes_of_;  // by id
  int32_t end_of_text_ = -1;
  std::string file_text_;
  boost::json::object description_;
};

}  // namespace trireme::data
