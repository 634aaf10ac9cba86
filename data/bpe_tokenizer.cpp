#include "data/bpe_tokenizer.h"

#include <algorithm>
#include <limits>

#include "data/safe_cut.h"
#include "data/tokenizer_json.h"
#include "runtime/digest.h"
#include "runtime/error.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;

namespace {

/// Long texts are encoded in parts of about this size, so that what is known of a part stays in the near caches.
constexpr size_t kPartBytes = size_t{1} << 16;

void check_size(std::string_view text, size_t limit_bytes) {
  if (text.size() <= limit_bytes) return;
  throw Error(ErrorKind::data, "a text of " + std::to_string(text.size()) +
                                   " bytes has no place where this tokenizer may cut it, and more than " +
                                   std::to_string(limit_bytes) + " cannot be encoded at once: cut it into documents");
}

std::string normal_text(const std::vector<NormalForm>& forms, std::string_view text) {
  std::string normal(text);
  for (const NormalForm form : forms) {
    check_size(normal, std::numeric_limits<int32_t>::max());
    normal = normalize(form, normal);
  }
  return normal;
}

AddedTokenMatcher matcher(const TokenizerParts& parts, bool normalized) {
  std::vector<AddedToken> tokens;
  for (const AddedToken& token : parts.added_tokens) {
    if (token.normalized != normalized) continue;
    tokens.push_back(token);
    if (normalized) tokens.back().content = normal_text(parts.normal_forms, token.content);
  }
  return AddedTokenMatcher(std::move(tokens));
}

std::vector<std::string> bytes_by_id(const TokenizerParts& parts) {
  std::vector<std::string> bytes = parts.vocabulary.tokens;
  for (const AddedToken& token : parts.added_tokens) {
    const auto id = static_cast<size_t>(token.id);
    bytes.resize(std::max(bytes.size(), id + 1));
    bytes[id] = token.special ? "" : token.content;
  }
  return bytes;
}

/// Where the first part of a long text ends: at the last safe cut in it, or in as much more as it takes to find one.
size_t part_end(std::string_view text) {
  for (size_t bytes = kPartBytes; bytes < text.size(); bytes *= 2) {
    const size_t cut = safe_cut(text.substr(0, bytes));
    if (cut > 0) return cut;
  }
  return text.size();
}

}  // namespace

BpeTokenizer::BpeTokenizer(const TokenizerParts& parts)
    : normal_forms_((check_parts(parts, "the tokenizer"), parts.normal_forms)),
      add_prefix_space_(parts.add_prefix_space),
      raw_matcher_(matcher(parts, false)),
      normalized_matcher_(matcher(parts, true)),
      splitter_(parts.pattern.empty() ? nullptr : make_splitter(parts.pattern)),
      encoder_(parts.vocabulary),
      bytes_of_(bytes_by_id(parts)),
      end_of_text_(find_added_token(parts, parts.end_of_text)->id),
      file_text_(tokenizer_json(parts)),
      description_({{"kind", "bpe"},
                    {"mode", name(parts.vocabulary.mode)},
                    {"sha256", runtime::sha256(file_text_)},
                    {"vocabulary_size", vocabulary_size()},
                    {"pattern", parts.pattern}}) {
  if (splitter_ != nullptr) description_["unicode_version"] = splitter_->unicode_version();
  if (!normal_forms_.empty()) description_["normal_form_unicode_version"] = unicode_version();
}

bool BpeTokenizer::has_safe_cuts(SpecialTokens special) const {
  return splitter_ != nullptr && splitter_->has_safe_cuts() && !add_prefix_space_ &&
         raw_matcher_.has_safe_cuts(special) && normalized_matcher_.has_safe_cuts(special);
}

void BpeTokenizer::encode(std::string_view text, std::vector<int32_t>& ids, SpecialTokens special) const {
  Output output{.ids = ids, .ends = {}};
  if (!has_safe_cuts(special)) return encode_part(text, special, output);
  while (!text.empty()) {
    const size_t end = part_end(text);
    encode_part(text.substr(0, end), special, output);
    text.remove_prefix(end);
  }
}

void BpeTokenizer::encode_part(std::string_view text, SpecialTokens special, Output& output) const {
  if (!raw_matcher_.is_active(special)) return encode_unmatched(text, special, output);
  std::vector<Stretch> stretches;
  raw_matcher_.cut(text, special, stretches);
  for (const Stretch& stretch : stretches) {
    if (stretch.id >= 0) {
      output.ids.push_back(stretch.id);
    } else {
      encode_unmatched(stretch.text, special, output);
    }
  }
}

void BpeTokenizer::encode_unmatched(std::string_view text, SpecialTokens special, Output& output) const {
  std::string normal;
  if (!normal_forms_.empty()) {
    normal = normal_text(normal_forms_, text);
    text = normal;
  }
  if (!normalized_matcher_.is_active(special)) return encode_plain(text, output);
  std::vector<Stretch> stretches;
  normalized_matcher_.cut(text, special, stretches);
  for (const Stretch& stretch : stretches) {
    if (stretch.id >= 0) {
      output.ids.push_back(stretch.id);
    } else {
      encode_plain(stretch.text, output);
    }
  }
}

void BpeTokenizer::encode_plain(std::string_view text, Output& output) const {
  if (text.empty()) return;
  std::string spaced;
  if (add_prefix_space_ && text[0] != ' ') {
    spaced.append(" ").append(text);
    text = spaced;
  }
  check_size(text, std::numeric_limits<uint32_t>::max());
  output.ends.clear();
  if (splitter_ != nullptr) {
    splitter_->split(text, output.ends);
  } else {
    output.ends.push_back(static_cast<uint32_t>(text.size()));
  }
  encoder_.encode(text, output.ends, output.ids);
}

std::string BpeTokenizer::decode(std::span<const int32_t> ids) const {
  std::string bytes;
  for (const int32_t id : ids) {
    if (id < 0 || id >= vocabulary_size()) {
      throw Error(ErrorKind::data, "token id " + std::to_string(id) + " is not in the tokenizer's vocabulary of " +
                                       std::to_string(vocabulary_size()));
    }
    bytes += bytes_of_[static_cast<size_t>(id)];
  }
  return bytes;
}

}  // namespace trireme::data
