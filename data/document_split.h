// Which text is held back for validation: whole documents by the hash of their content, so that the same document goes
// the same way in any corpus and any order; or the end of the only document. Pure functions, no files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "runtime/digest.h"

namespace trireme::data {

/// Meets every document of a corpus in order, then knows its size and the digest of its content.
class CorpusSurvey {
 public:
  /// The hash is XXH3-128 of the document.
  void add(std::string_view document, const runtime::Hash128& hash);

  int64_t documents() const { return documents_; }
  int64_t bytes() const { return bytes_; }
  /// SHA-256 over hash and length of all documents in order; call once.
  std::string finish() { return sha_.finish(); }

 private:
  friend class DocumentSplit;
  struct Document {
    int64_t bytes = 0;
    runtime::Hash128 hash;
    int64_t number = 0;
  };
  std::optional<Document> shortest_;       // of equally long ones that with the smallest hash, then the first
  std::optional<Document> longest_;        // of equally long ones that with the largest hash, then the first
  uint64_t smallest_hash_ = ~uint64_t{0};  // upper halves
  uint64_t largest_hash_ = 0;
  int64_t documents_ = 0;
  int64_t bytes_ = 0;
  runtime::Sha256 sha_;
};

/// A document is validation when the upper 64 bits of its hash are below fraction * 2^64. In a corpus of a few
/// documents one side may get none by chance: then the shortest document is validation, or the longest training, so
/// that most of the text is trained on either way. The fraction holds on average over many documents only.
class DocumentSplit {
 public:
  /// `fraction` in [0, 1); 0: all is training. For a corpus of one document see validation_cut().
  DocumentSplit(double fraction, const CorpusSurvey& survey);

  /// `number`: the document's place in the corpus, from 0.
  bool is_validation(const runtime::Hash128& hash, int64_t number) const;

 private:
  uint64_t threshold_;
  int64_t forced_validation_ = -1;
  int64_t forced_train_ = -1;
};

/// Where validation begins in the only document: behind the first line end at or after the byte at 1 - `fraction` of
/// the length; at that byte, moved to a UTF-8 character's beginning, when no line end leaves both sides some text.
/// Nothing when the document is too short for two sides.
std::optional<size_t> validation_cut(std::string_view document, double fraction);

}  // namespace trireme::data
