// A text file that somebody made up: rows of JSON or plain text, gzip and zstd among them, by every option. Reading ends
// with documents of UTF-8 or with an Error; a document that is cut into parts is the same text as the whole.
#include <string>
#include <utility>
#include <vector>

#include "data/documents.h"
#include "data/utf8.h"
#include "runtime/error.h"
#include "tests/memory_files.h"

namespace {

using namespace trireme;

data::TextOptions options_from(uint8_t bits) {
  data::TextOptions options;
  options.chunk_bytes = 7;  // every place is a border between two reads
  options.piece_bytes = 16;
  options.cleaning.unix_line_ends = (bits & 1) != 0;
  options.cleaning.remove_controls = (bits & 2) != 0;
  if ((bits & 4) != 0) options.cleaning.normal_form = data::NormalForm::nfc;
  if ((bits & 8) != 0) options.separator = "\n\n";
  if ((bits & 16) != 0) options.field = "meta.text";
  return options;
}

/// (row, text) of every document.
std::vector<std::pair<int64_t, std::string>> read(runtime::Files& files, const data::TextFile& file,
                                                  const data::TextOptions& options) {
  std::vector<std::pair<int64_t, std::string>> documents;
  data::DocumentReader reader(files, std::span(&file, 1), options);
  data::RawPiece raw;
  while (reader.next(raw)) {
    data::PieceFate fate;
    const data::TextPiece piece = data::read_piece(raw, options, fate);
    if (data::find_invalid_utf8(piece.text) != piece.text.size()) __builtin_trap();
    if (piece.is_first) documents.emplace_back(piece.row, "");
    documents.back().second += piece.text;
  }
  return documents;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* input, size_t size) {
  if (size < 1) return 0;
  tests::MemoryFiles files;
  files.create("text")->append(std::as_bytes(std::span(input + 1, size - 1)));
  data::TextOptions options = options_from(input[0]);
  const data::TextFile file{.path = "text", .rows = (input[0] & 32) != 0, .size_bytes = static_cast<int64_t>(size - 1)};
  try {
    const auto whole = read(files, file, options);
    options.may_cut = true;
    // Four parts without a safe place are cut at a character: normal forms and line ends may then come out otherwise.
    if (options.cleaning != data::CleaningOptions{} && size > 4 * 16) return 0;
    if (read(files, file, options) != whole) __builtin_trap();
  } catch (const runtime::Error&) {
  }
  return 0;
}
