// Where text is cut before byte pairs are merged: a token never reaches across a cut. A splitter is its regular
// expression, as a tokenizer.json states it; the ones that the field uses have scanners written by hand, any other goes
// through PCRE2. It does not know vocabularies.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::data {

class Splitter {
 public:
  virtual ~Splitter() = default;

  /// Appends to `ends` where each piece of `text` ends, the last at text.size(); pieces are not empty. What the
  /// expression does not match is a piece too (Hugging Face's "Isolated"). Bytes that are not UTF-8 stand for
  /// characters that are neither letters, numbers nor white space. May be called from several threads. `text` has
  /// fewer than 2^32 bytes.
  virtual void split(std::string_view text, std::vector<uint32_t>& ends) const = 0;

  /// Whether no piece reaches across the places that safe_cut (safe_cut.h) finds, whatever the text.
  virtual bool has_safe_cuts() const = 0;
  /// Of the tables that say what a letter is: "16.0".
  virtual std::string unicode_version() const = 0;
};

/// The expressions of GPT-2, cl100k (GPT-4; Llama 3's is the same), o200k.
extern const char kGpt2Pattern[];
extern const char kCl100kPattern[];
extern const char kO200kPattern[];
/// cl100k as tiktoken 0.8 and later have it: white space at the end of a text stays whole, where kCl100kPattern cuts it
/// behind its last line end. Not in tiktoken's own spelling: its {1,3}+ is no possessive one to Oniguruma, the engine of
/// Hugging Face's tokenizers, but a repetition.
extern const char kTiktokenCl100kPattern[];

/// "gpt2", "cl100k", "llama3" or "o200k" give those expressions; any other name is nothing.
const char* pattern_by_name(std::string_view name);

/// Whether the expression is one that we know, in any of the spellings that libraries ship. These match all of a text.
bool is_known_pattern(const std::string& pattern);

/// A scanner where the expression is one that we know, else PCRE2. An expression that PCRE2 does not take is Error(data)
/// with its reason and place.
std::unique_ptr<Splitter> make_splitter(const std::string& pattern);

/// Always PCRE2: the oracle of the scanners.
std::unique_ptr<Splitter> make_pcre2_splitter(const std::string& pattern);

}  // namespace trireme::data
