// The first pass of `prepare`: reads, cleans and hashes all text, so that the second knows of each document, before it
// has seen more than its beginning, whether and where it goes.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "data/document_split.h"
#include "data/piece_pipeline.h"
#include "data/prepare_options.h"
#include "data/text_files.h"
#include "runtime/error.h"
#include "runtime/files.h"

namespace trireme::data {

/// A place in the only document's text.
struct PieceCut {
  int64_t piece = 0;  ///< number in the corpus
  size_t offset = 0;  ///< in its cleaned text; may be its end
};

/// Numbers of documents count all that were read, from 0.
struct Survey {
  CorpusSurvey kept;   ///< documents with text, less dropped duplicates
  std::string digest;  ///< kept.finish()
  DocumentFates fates;
  std::vector<bool> is_duplicate;                      ///< by number; empty when duplicates are not dropped
  std::map<int64_t, runtime::Hash128> long_documents;  ///< by number, of those that come in several pieces
  std::vector<int64_t> piece_bytes;                    ///< lengths of the pieces of the only document kept, else empty
  int64_t first_piece = 0;                             ///< number in the corpus of piece_bytes[0]
  runtime::Hash128 chain;                              ///< of all pieces, see PieceChain
};

/// A hash over text and place of all pieces so far: equal in both passes when the files did not change between.
class PieceChain {
 public:
  explicit PieceChain(const runtime::Hash128& so_far = {}) : hash_(so_far) {}
  void add(const CleanPiece& piece);
  const runtime::Hash128& hash() const { return hash_; }

 private:
  runtime::Hash128 hash_;
};

/// An empty corpus is Error(data).
Survey take_survey(runtime::Files& files, std::span<const TextFile> texts, const PrepareOptions& options);

/// Where the only document of the corpus is cut for validation: reads it up to there once more. Error(data) when it is
/// too short.
PieceCut find_validation_cut(runtime::Files& files, std::span<const TextFile> texts, const PrepareOptions& options,
                             const Survey& survey);

/// Error(data): the second pass met another text than the first.
class TextChanged : public runtime::Error {
 public:
  TextChanged();
};

}  // namespace trireme::data
