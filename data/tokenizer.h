// Text to token ids and back. A tokenizer is identified by its description, a JSON object from which it can be made
// again; datasets, checkpoints and exports carry that object and its digest. It knows nothing of documents or files.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <boost/json/object.hpp>

namespace trireme::data {

class Tokenizer {
 public:
  virtual ~Tokenizer() = default;

  /// Appends the ids of `text` to `ids`; adds no special token.
  virtual void encode(std::string_view text, std::vector<int32_t>& ids) const = 0;
  /// The bytes of `ids`; special tokens give none. Bytes, not text: a run of ids may end inside a UTF-8 character. An
  /// id outside the vocabulary is Error(data).
  virtual std::string decode(std::span<const int32_t> ids) const = 0;
  virtual int64_t vocabulary_size() const = 0;
  /// The id that follows every document.
  virtual int32_t end_of_text() const = 0;
  /// All that make_tokenizer needs, for example {"kind": "byte"}.
  virtual boost::json::object description() const = 0;

  /// tokenizer_digest(description()).
  std::string digest() const;
};

/// SHA-256 of the serialised description, 64 hexadecimal digits.
std::string tokenizer_digest(const boost::json::object& description);

/// The tokenizer of a description; an unknown kind is Error(data) naming it.
std::unique_ptr<Tokenizer> make_tokenizer(const boost::json::object& description);

/// The tokenizer of the option's text: "byte". Anything else is Error(usage) naming --tokenizer and what exists.
std::unique_ptr<Tokenizer> tokenizer_from_option(std::string_view option);

}  // namespace trireme::data
