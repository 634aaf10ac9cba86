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
  /// `bytes` and XXH3-128 of the document.
  void add(int64_t bytes, const runtime::Hash128& hash);

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

/// The only document is cut near the byte at 1 - `fraction` of its length: that byte, 1 to bytes - 1. At least two
/// bytes.
int64_t validation_target(int64_t bytes, double fraction);

/// How far behind the target a line end is looked for.
inline constexpr int64_t kValidationCutReach = int64_t{1} << 20;

/// Where validation begins in the only document: behind the first line end at or after `target` and less than
/// kValidationCutReach away; at `target`, moved to a UTF-8 character's beginning, when no such line end leaves both
/// sides some text. Nothing when the document is too short for two sides. `window` is the part of the document from
/// byte `window_begin` on that must be looked at: 4 bytes before the target, and kValidationCutReach + 4 behind it, as
/// far as the document has them; `bytes` is the length of the document.
std::optional<int64_t> validation_cut(std::string_view window, int64_t window_begin, int64_t target, int64_t bytes);

}  // namespace trireme::data
