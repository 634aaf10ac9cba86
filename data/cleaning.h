// What is done to a text before it is tokenized, each step by option, and the count of what became of each document.
// Steps work on a part of a document as on the whole when it is cut at safe places (safe_cut.h). It knows no files.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "data/normal_form.h"

namespace trireme::data {

/// What to do with bytes that are not UTF-8, and with JSON's escapes of a surrogate without its other half.
enum class InvalidUtf8 {
  repair,  ///< U+FFFD for each (utf8.h), counted
  refuse,  ///< Error(data) naming file, row and byte
  keep,    ///< leave them: a byte-level tokenizer takes any bytes
};

/// Steps in the order in which they are done. By default nothing changes in text that is UTF-8.
struct CleaningOptions {
  InvalidUtf8 invalid_utf8 = InvalidUtf8::repair;
  bool remove_controls = false;  ///< U+0000..U+001F and U+007F..U+009F (category Cc) but tab, \n and \r
  bool unix_line_ends = false;   ///< \r\n and a lone \r become \n
  std::optional<NormalForm> normal_form;
  bool operator==(const CleaningOptions&) const = default;
};

/// What reading and cleaning did to a piece; those of a document's pieces add up to the document's.
struct PieceFate {
  int64_t repairs = 0;      ///< places that were no UTF-8 and became U+FFFD
  bool is_changed = false;  ///< by a step of cleaning; a repair alone is none
  PieceFate& operator+=(const PieceFate& piece);
};

/// All steps but that on invalid UTF-8 (documents.h, where the file is known): changes `text`, reports in `fate`.
void clean(std::string& text, const CleaningOptions& options, PieceFate& fate);

enum class Outcome {
  kept,
  empty,      ///< no text, or none left by cleaning
  duplicate,  ///< dropped: the same text came before
};

/// What became of the documents of a corpus: documents() = kept + empty + duplicate; the rest tells of those kept.
struct DocumentFates {
  int64_t kept = 0;
  int64_t empty = 0;
  int64_t duplicate = 0;
  int64_t repaired = 0;  ///< kept, with bytes that were no UTF-8
  int64_t repairs = 0;   ///< places in those
  int64_t changed = 0;   ///< kept, and changed by cleaning

  int64_t documents() const { return kept + empty + duplicate; }
  /// Counts one document; `fate` is the sum over its pieces.
  void add(Outcome outcome, const PieceFate& fate);
  DocumentFates& operator+=(const DocumentFates& other);
  bool operator==(const DocumentFates&) const = default;
};

}  // namespace trireme::data
