// Where a text may be cut in two so that the parts can be cleaned, split and encoded on their own: long documents go
// through `prepare` in pieces.
#pragma once

#include <cstddef>
#include <string_view>

namespace trireme::data {

/// The last safe place in `text` that is not at its ends; 0 when there is none. Safe are the places between a line end
/// '\n' and a letter, when something graphic stands before the line end (a run of white space at the end of a text is
/// one piece, before a word GPT-2's pattern cuts it), and between a letter and a single space that a letter follows;
/// letters of any script, so that Chinese or Russian is cut too. There, no piece of the known patterns crosses
/// (splitter.h), no normal form composes, and no line end is cut. What is not UTF-8 is neither a letter nor graphic.
size_t safe_cut(std::string_view text);

}  // namespace trireme::data
