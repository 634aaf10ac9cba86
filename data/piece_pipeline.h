// Text pieces through threads: one reads, several clean and whatever else costs time, and the calling thread gets the
// results in the order of the text, the same for any number of threads. The batches under way are few, so memory is
// bounded by them: about two a thread, of a few MB each.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <vector>

#include "data/cleaning.h"
#include "data/documents.h"
#include "runtime/digest.h"

namespace trireme::data {

/// A piece and what was made of it.
struct CleanPiece {
  TextPiece piece;
  PieceFate fate;
  runtime::Hash128 hash;  ///< XXH3-128 of piece.text
  int64_t number = 0;     ///< of the piece in the corpus, from 0
  size_t ids_end = 0;     ///< where its ids end in PieceBatch::ids; they begin where the last piece's end
  size_t ids_cut = 0;     ///< where the ids of its validation part begin, when the only document is cut in it
};

struct PieceBatch {
  std::vector<RawPiece> raw;       ///< from the reader
  std::vector<CleanPiece> pieces;  ///< of raw, made by a working thread
  std::vector<int32_t> ids;        ///< of all pieces
  int64_t first_number = 0;        ///< of the first piece in the corpus
  int64_t bytes_read = 0;          ///< of the files on the disk, up to this batch's end
};

/// Which pieces a pipeline reads: all of `texts`, or from a place on.
struct PieceRange {
  int64_t first_source = 0;  ///< begin with this file,
  int64_t skip_pieces = 0;   ///< and leave out so many of its pieces
  int64_t first_number = 0;  ///< number in the corpus of the first piece that is read
};

/// Calls work(thread, batch) with each batch on one of `threads` threads (numbers from 0), when raw has become pieces
/// with texts and hashes, then consume(batch) on the calling thread, in order. What any of them throws, the first in
/// the order of the text, ends all and reaches the caller. Threads have ended when this returns.
void for_each_batch(runtime::Files& files, std::span<const TextFile> texts, const TextOptions& options, int threads,
                    const PieceRange& range, const std::function<void(int thread, PieceBatch& batch)>& work,
                    const std::function<void(PieceBatch& batch)>& consume);

}  // namespace trireme::data
