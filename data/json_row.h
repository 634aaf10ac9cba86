// One string out of a row of a .jsonl file. The whole row is held against the grammar (RFC 8259), but nothing of it is
// kept, which makes this several times faster than a parser that builds a document. It knows no files.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace trireme::data {

struct RowText {
  std::string text;             ///< bytes that are not UTF-8 are as in the row
  int64_t lone_surrogates = 0;  ///< escapes like \ud800 without their other half
};

/// The string in `field` of the object that `row` is; dots lead into objects ("meta.text"), and of equal names the last
/// counts. A lone surrogate becomes U+FFFD when `repair`, else WTF-8's three bytes, which are not UTF-8. A row that is
/// not JSON, and one without such a string, are Error(data) with the mend; the caller adds file and line.
RowText text_of_row(std::string_view row, std::string_view field, bool repair);

}  // namespace trireme::data
