// Text files to documents. A row of a .jsonl file (one field of it) is a document, and so is a text file, unless a
// separator cuts text files into several. Documents come in a fixed order (files as given, each from its beginning) and
// long ones in parts, so that neither a corpus nor a file need fit in memory. The work is in two halves: DocumentReader
// finds where documents begin and end, one after the other and cheaply; read_piece() does what costs time (JSON, UTF-8,
// cleaning) on any thread and in any order. Nothing here knows tokens.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "data/byte_source.h"
#include "data/cleaning.h"
#include "data/text_files.h"
#include "data/text_piece.h"
#include "runtime/files.h"

namespace trireme::data {

struct TextOptions {
  std::optional<std::string> separator;  ///< cuts text files (not rows) into documents and is part of none
  std::string field = "text";            ///< of .jsonl rows; dots lead into objects: "meta.text"
  bool may_cut = false;  ///< long documents come in parts, cut at safe places: when the tokenizer has_safe_cuts()
  /// The most in one part (rows are never cut). Text without a safe place is cut at a character at four times as much,
  /// so that memory stays bounded; its ids may differ there from those of the whole.
  int64_t piece_bytes = int64_t{4} << 20;
  int64_t chunk_bytes = int64_t{1} << 20;  ///< in one read of a file
  CleaningOptions cleaning;
};

/// An empty separator or field is Error(usage) naming its option.
void check_text_options(const TextOptions& options);

/// A document, or a part of one, as it lies in its file: a row not parsed, a text not checked.
struct RawPiece {
  std::string bytes;
  const TextFile* file = nullptr;  ///< lives as long as what the reader was given
  int64_t source = 0;              ///< its index among the texts
  int64_t row = 0;                 ///< line of a .jsonl file, or number of the document in its file, from 1
  int64_t offset = 0;              ///< of the part in its document, in bytes
  bool is_first = true;            ///< a document begins here
  bool is_last = true;             ///< and ends here
};

class DocumentReader {
 public:
  /// Begins with file `first_source` of `texts`, which must outlive the reader and its pieces.
  DocumentReader(runtime::Files& files, std::span<const TextFile> texts, TextOptions options, int64_t first_source = 0);

  /// False at the end of the last file. `piece` is overwritten, its memory used again. Documents without a byte come
  /// too (a file of no bytes, two separators with nothing between them), blank lines of a .jsonl file do not. A part
  /// that is not a document's last is never empty, nor is the last of several. Memory: about two pieces and a chunk,
  /// more only for rows that are longer and documents without a safe place. The same files and options give the same
  /// pieces. A piece of 1 GiB or more, a cut or damaged compressed file are Error(data) naming the file.
  bool next(RawPiece& piece);

  /// Of all files up to now, as they lie on the disk: for progress against the sum of TextFile::size_bytes.
  int64_t bytes_read() const;

 private:
  bool open_next();
  void close();
  bool next_row(RawPiece& piece);
  bool next_part(RawPiece& piece);
  void give(RawPiece& piece, size_t count, bool is_last, size_t skip);
  void fill();

  runtime::Files& files_;
  std::span<const TextFile> texts_;
  TextOptions options_;
  int64_t source_;                    // of file_, or the next when that is null
  std::unique_ptr<ByteSource> file_;  // null before the first file and between two
  std::string buffer_;                // read ahead
  size_t begin_ = 0;                  // of what was not given yet
  bool is_at_end_ = false;            // the buffer holds all that is left of the file
  int64_t row_ = 0;                   // of the piece given last; 0: none yet of this file
  int64_t offset_ = 0;                // of the next piece in its document
  int64_t finished_bytes_ = 0;        // of files read to their end
};

/// The text of a piece: the row's field out of its JSON, invalid UTF-8 treated as the option says, cleaned. A pure
/// function. `fate` is what was done to this piece. A row that is not an object with a string in that field, or bytes
/// refused, are Error(data) naming file, row and mend. How to use both halves:
///   while (reader.next(raw)), on some thread: { PieceFate fate; TextPiece text = read_piece(raw, options, fate); }
///   then in order: sum fates from is_first to is_last, hash the text of the same pieces with runtime::Xxh3Stream, and
///   count the document with DocumentFates::add(). A document whose pieces all have no text is Outcome::empty.
TextPiece read_piece(const RawPiece& raw, const TextOptions& options, PieceFate& fate);

}  // namespace trireme::data
