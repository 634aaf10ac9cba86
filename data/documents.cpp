#include "data/documents.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "data/json_row.h"
#include "data/safe_cut.h"
#include "data/utf8.h"
#include "runtime/error.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;

namespace {

constexpr size_t kLongestPieceBytes = size_t{1} << 30;
constexpr size_t kLongestUncut = 4;  ///< times piece_bytes: longer text without a safe place is cut all the same

/// The last place up to `end`, which is inside `text`, that cuts neither a character nor a line end; `end` itself where
/// there is no such place among the last bytes, which are no text then.
size_t character_cut(std::string_view text, size_t end) {
  for (size_t cut = end; cut > 0 && cut + 4 > end; --cut) {
    const bool continues = (static_cast<unsigned char>(text[cut]) & 0xC0) == 0x80;
    if (!continues && !(text[cut] == '\n' && text[cut - 1] == '\r')) return cut;
  }
  return end;
}

std::string place_of(const TextFile& file, int64_t row) {
  return file.path + (file.rows ? ", line " : ", document ") + std::to_string(row);
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

/// `offset`: of `text` in its document.
void refuse_invalid_utf8(std::string_view text, int64_t offset) {
  const size_t at = find_invalid_utf8(text);
  if (at == text.size()) return;
  throw Error(ErrorKind::data, "no UTF-8 at byte " + std::to_string(offset + static_cast<int64_t>(at) + 1) +
                                   " of the text: convert the file to UTF-8, or have such places replaced by "
                                   "--invalid-utf8 repair");
}

}  // namespace

void check_text_options(const TextOptions& options) {
  if (options.separator.has_value() && options.separator->empty()) {
    throw Error(ErrorKind::usage, "--document-separator is empty: leave it out for one document a file");
  }
  if (("." + options.field + ".").find("..") != std::string::npos) {
    throw Error(ErrorKind::usage, "--text-field \"" + options.field +
                                      "\" has an empty name: give one like text, or meta.text for one inside another");
  }
}

DocumentReader::DocumentReader(runtime::Files& files, std::span<const TextFile> texts, TextOptions options,
                               int64_t first_source)
    : files_(files), texts_(texts), options_(std::move(options)), source_(first_source) {
  check_text_options(options_);
  assert(options_.piece_bytes > 0 && options_.chunk_bytes > 0);
}

bool DocumentReader::next(RawPiece& piece) {
  for (;;) {
    if (file_ == nullptr && !open_next()) return false;
    if (texts_[static_cast<size_t>(source_)].rows ? next_row(piece) : next_part(piece)) return true;
    close();
  }
}

int64_t DocumentReader::bytes_read() const {
  return finished_bytes_ + (file_ == nullptr ? 0 : file_->bytes_read());
}

bool DocumentReader::open_next() {
  if (source_ == std::ssize(texts_)) return false;
  file_ = std::make_unique<ByteSource>(files_, texts_[static_cast<size_t>(source_)].path, options_.chunk_bytes);
  buffer_.clear();
  begin_ = 0;
  is_at_end_ = false;
  row_ = 0;
  return true;
}

void DocumentReader::close() {
  finished_bytes_ += file_->bytes_read();
  file_.reset();
  ++source_;
}

/// The next line that is not blank; false at the end of the file.
bool DocumentReader::next_row(RawPiece& piece) {
  for (;;) {
    size_t scanned = 0;
    size_t found = buffer_.find('\n', begin_);
    while (found == std::string::npos && !is_at_end_) {
      scanned = buffer_.size() - begin_;
      fill();
      found = buffer_.find('\n', begin_ + scanned);
    }
    const bool has_end = found != std::string::npos;
    const size_t count = (has_end ? found : buffer_.size()) - begin_;
    if (count == 0 && !has_end) return false;
    ++row_;
    if (!is_blank(std::string_view(buffer_).substr(begin_, count))) {
      give(piece, count, true, has_end ? 1 : 0);
      return true;
    }
    begin_ += count + (has_end ? 1 : 0);
  }
}

/// The next document, or part of one; false at the end of the file.
bool DocumentReader::next_part(RawPiece& piece) {
  const std::string_view separator = options_.separator.has_value() ? std::string_view(*options_.separator) : "";
  size_t window = options_.may_cut ? static_cast<size_t>(options_.piece_bytes) : kLongestPieceBytes;
  size_t scanned = 0;  // behind begin_: no separator begins there
  for (;;) {
    const size_t found = separator.empty() ? std::string::npos : buffer_.find(separator, begin_ + scanned);
    const size_t left = buffer_.size() - begin_;
    const bool has_separator = found != std::string::npos;
    const bool is_whole = has_separator || is_at_end_;
    // Of this document for certain: a separator may have begun in the last bytes.
    const size_t unsure = is_at_end_ || separator.empty() ? 0 : separator.size() - 1;
    const size_t count = has_separator ? found - begin_ : left - std::min(left, unsure);
    for (; options_.may_cut && count > window; window *= 2) {
      const std::string_view seen = std::string_view(buffer_).substr(begin_);
      size_t cut = safe_cut(seen.substr(0, window));
      if (cut == 0 && window >= kLongestUncut * static_cast<size_t>(options_.piece_bytes))
        cut = character_cut(seen, window);
      if (cut == 0) continue;
      row_ += offset_ == 0 ? 1 : 0;
      give(piece, cut, false, 0);
      return true;
    }
    if (is_whole) {
      // What ends with a separator, or with the part before, has no document after it.
      if (count == 0 && !has_separator && row_ > 0) return false;
      row_ += offset_ == 0 ? 1 : 0;
      give(piece, count, true, has_separator ? separator.size() : 0);
      return true;
    }
    scanned = count;
    fill();
  }
}

void DocumentReader::give(RawPiece& piece, size_t count, bool is_last, size_t skip) {
  const TextFile& file = texts_[static_cast<size_t>(source_)];
  piece.bytes.assign(buffer_, begin_, count);
  piece.file = &file;
  piece.source = source_;
  piece.row = row_;
  piece.offset = offset_;
  piece.is_first = offset_ == 0;
  piece.is_last = is_last;
  begin_ += count + skip;
  offset_ = is_last ? 0 : offset_ + static_cast<int64_t>(count);
}

/// Reads a chunk more.
void DocumentReader::fill() {
  buffer_.erase(0, begin_);
  begin_ = 0;
  const size_t old_size = buffer_.size();
  if (old_size > kLongestPieceBytes) {
    const TextFile& file = texts_[static_cast<size_t>(source_)];
    const int64_t row = row_ + (offset_ == 0 ? 1 : 0);
    throw Error(ErrorKind::data, place_of(file, row) + " has more than 1 GiB in one piece: " +
                                     (file.rows ? "a .jsonl file holds one object a line"
                                                : "have it cut into documents by --document-separator"));
  }
  const size_t chunk = static_cast<size_t>(options_.chunk_bytes);
  buffer_.resize(old_size + chunk);
  const size_t count = file_->read(std::span(buffer_).subspan(old_size));
  buffer_.resize(old_size + count);
  is_at_end_ = count < chunk;
}

TextPiece read_piece(const RawPiece& raw, const TextOptions& options, PieceFate& fate) {
  fate = {};
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  std::string_view bytes = raw.bytes;
  if (raw.row == 1 && (raw.file->rows || raw.is_first) && bytes.starts_with(kByteOrderMark))
    bytes.remove_prefix(kByteOrderMark.size());
  TextPiece piece{.text = {}, .source = raw.source, .row = raw.row, .is_first = raw.is_first, .is_last = raw.is_last};
  const InvalidUtf8 invalid = options.cleaning.invalid_utf8;
  try {
    if (raw.file->rows) {
      RowText found = text_of_row(bytes, options.field, invalid == InvalidUtf8::repair);
      piece.text = std::move(found.text);
      if (invalid == InvalidUtf8::repair) fate.repairs += found.lone_surrogates;
    } else {
      piece.text = bytes;
    }
    if (invalid == InvalidUtf8::refuse) refuse_invalid_utf8(piece.text, raw.offset);
    if (invalid == InvalidUtf8::repair) fate.repairs += repair_utf8(piece.text);
    clean(piece.text, options.cleaning, fate);
  } catch (const Error& error) {
    throw Error(error.kind(), place_of(*raw.file, raw.row) + ": " + error.what());
  }
  return piece;
}

}  // namespace trireme::data
