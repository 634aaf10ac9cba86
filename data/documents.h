// Text inputs to documents. A row of a .jsonl file (its field "text") is a document, and so is a text file, unless a
// separator cuts text files into several. Documents come in a fixed order (inputs as given, directories sorted), one at
// a time, so that a corpus need not fit in memory. Nothing here knows tokens.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/files.h"

namespace trireme::data {

struct TextFile {
  std::string path;
  bool rows = false;  ///< .jsonl: each line is a document
};

/// The files behind `inputs`: a file is itself, a directory all files below it in sorted order, without hidden ones
/// (names that begin with a dot), without pipes, sockets and devices, and through links each directory once. No input,
/// one that is missing and one that is neither file nor directory are Error(usage), a directory without files
/// Error(data), one that cannot be listed Error(io).
std::vector<TextFile> list_text_files(runtime::Files& files, std::span<const std::string> inputs);

/// Calls `visit` with every document that is not empty; the view is valid during the call. `separator` cuts text files
/// (not rows) and is part of no document; an empty one is Error(usage). A line of a .jsonl file that is not an object
/// with a string "text" is Error(data) naming file and line; blank lines are skipped.
void for_each_document(runtime::Files& files, std::span<const TextFile> texts,
                       const std::optional<std::string>& separator,
                       const std::function<void(std::string_view document)>& visit);

}  // namespace trireme::data
