// The second pass of `prepare`: sends every document to its split, piece by piece, and can tell at any piece how far it
// is, so that a later process can go on there.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "data/document_split.h"
#include "data/piece_pipeline.h"
#include "data/prepare_options.h"
#include "data/prepare_survey.h"
#include "data/split_writer.h"
#include "data/tokenizer.h"
#include "runtime/files.h"

namespace trireme::data {

/// How far the second pass is.
struct WriteState {
  int64_t source = 0;         ///< the file of the last piece,
  int64_t source_pieces = 0;  ///< and how many of its pieces are done
  int64_t pieces = 0;         ///< of the corpus that are done
  int64_t documents = 0;      ///< that are done
  int64_t kept = 0;           ///< of those
  bool has_text = false;      ///< the document that is not done has had some
  runtime::Hash128 chain;     ///< PieceChain of the pieces that are done
  std::map<std::string, SplitState> splits;
  bool operator==(const WriteState&) const = default;
};

/// What the shards of `split` say of the tokenizer.
ShardIdentity shard_identity(const Tokenizer& tokenizer, const std::string& split);

/// Makes batch.ids. The piece in which `cut` lies becomes two texts.
void encode_batch(const Tokenizer& tokenizer, const std::optional<PieceCut>& cut, PieceBatch& batch);

class DatasetWriter {
 public:
  /// Goes on from `resumed`. `cut`: of the only document. All must outlive the writer.
  DatasetWriter(runtime::Files& files, const Tokenizer& tokenizer, const PrepareOptions& options, const Survey& survey,
                const std::optional<PieceCut>& cut, const WriteState& resumed);

  /// The next pieces of the corpus, with their ids. Pieces that the survey has not seen are TextChanged.
  void add(const PieceBatch& batch);
  /// All up to now is durable when this returns.
  WriteState sync();
  /// Only when a state from sync() since the last call of add() was recorded.
  void remove_old_spools();
  /// Closes all shards. Text other than the survey's is TextChanged. Call once.
  std::map<std::string, SplitManifest> finish();

  int64_t documents() const { return state_.documents; }

 private:
  void add_piece(const CleanPiece& clean, std::span<const int32_t> ids);
  runtime::Hash128 document_hash(const CleanPiece& clean) const;
  SplitWriter& writer_of(const CleanPiece& clean);
  SplitWriter& writer(const std::string& split);

  runtime::Files& files_;
  const Tokenizer& tokenizer_;
  const PrepareOptions& options_;
  const Survey& survey_;
  const std::optional<PieceCut>& cut_;
  DocumentSplit split_;
  WriteState state_;  // without splits
  PieceChain chain_;
  std::map<std::string, SplitWriter> writers_;
};

}  // namespace trireme::data
