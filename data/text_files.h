// Which files the text inputs of `prepare` are: a walk through directories, and a look at the beginning of every file,
// so that what is surely no text is found before hours of work and not trained on.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/files.h"

namespace trireme::data {

struct TextFile {
  std::string path;
  bool rows = false;       ///< each line is a document
  int64_t size_bytes = 0;  ///< on the disk, compressed or not
};

/// Whether a file of that name holds rows of JSON: .jsonl and .ndjson, either also with .gz or .zst behind it.
bool holds_rows(const std::string& path);

/// The files behind `inputs`: a file is itself, a directory all files below it in sorted order, without hidden ones
/// (names that begin with a dot), without pipes, sockets and devices, and through links each directory once. No input,
/// one that is missing, one that is neither file nor directory and a prepared dataset are Error(usage); a directory
/// without files, and a file whose (decompressed) beginning is that of an archive, image, HDF5 file and the like or
/// that is UTF-16, Error(data); what cannot be listed or opened, Error(io).
std::vector<TextFile> list_text_files(runtime::Files& files, std::span<const std::string> inputs);

}  // namespace trireme::data
