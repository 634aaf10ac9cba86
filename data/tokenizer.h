// Text to token ids and back. A tokenizer is identified by its description, a JSON object from which it can be made
// again, if need be with a file beside it (tokenizer_files.h); datasets, checkpoints and exports carry that object and
// its digest. It knows nothing of documents or files.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

namespace trireme::data {

/// What "<|endoftext|>" and its like in a text are.
enum class SpecialTokens {
  as_text,  ///< these letters: what strangers write must not end a document
  known,    ///< the token: for prompts and templates of ours
};

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Appends the ids of `text` to `ids`; adds no special token. May be called from several threads.
  virtual void encode(std::string_view text, std::vector<int32_t>& ids,
                      SpecialTokens special = SpecialTokens::as_text) const = 0;
  /// The bytes of `ids`; special tokens give none. Bytes, not text: a run of ids may end inside a UTF-8 character. An
  /// id outside the vocabulary is Error(data).
  virtual std::string decode(std::span<const int32_t> ids) const = 0;
  virtual int64_t vocabulary_size() const = 0;
  /// Whether ids do not change when a text is cut at a place that safe_cut (safe_cut.h) finds and its parts are encoded
  /// with SpecialTokens::as_text.
  virtual bool has_safe_cuts() const = 0;
  /// The id that follows every document.
  virtual int32_t end_of_text() const = 0;
  /// What it is, for example {"kind": "byte"}.
  virtual boost::json::object description() const = 0;
  /// What its file tokenizer.json holds, which the description knows by its SHA-256; "" where the description is all.
  virtual std::string file_text() const = 0;

  /// tokenizer_digest(description()).
  std::string digest() const;
};

/// SHA-256 of the serialised description, 64 hexadecimal digits.
std::string tokenizer_digest(const boost::json::object& description);

}  // namespace trireme::data
