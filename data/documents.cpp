#include "data/documents.h"

#include <algorithm>
#include <cstdint>
#include <set>

#include <boost/json/parse.hpp>

#include "runtime/error.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;

namespace {

constexpr int64_t kChunkBytes = 1 << 20;

/// The pieces of a file between delimiters, read in chunks.
class PieceReader {
 public:
  PieceReader(runtime::Files& files, const std::string& path, std::string delimiter)
      : file_(files.open(path)), size_bytes_(file_->size_bytes()), delimiter_(std::move(delimiter)) {}

  /// False at the end. `piece` is valid until the next call.
  bool next(std::string_view& piece) {
    size_t scan_from = begin_;
    for (;;) {
      const size_t found = buffer_.find(delimiter_, scan_from);
      if (found != std::string::npos) {
        piece = std::string_view(buffer_).substr(begin_, found - begin_);
        begin_ = found + delimiter_.size();
        return true;
      }
      buffer_.erase(0, begin_);
      begin_ = 0;
      if (read_bytes_ == size_bytes_) break;
      // A delimiter may lie across two chunks: look again at its possible beginnings.
      scan_from = buffer_.size() - std::min(buffer_.size(), delimiter_.size() - 1);
      append_chunk();
    }
    piece = buffer_;
    begin_ = buffer_.size();
    return !piece.empty();
  }

 private:
  void append_chunk() {
    const int64_t count = std::min(kChunkBytes, size_bytes_ - read_bytes_);
    const size_t old_size = buffer_.size();
    buffer_.resize(old_size + static_cast<size_t>(count));
    file_->read_at(read_bytes_, std::as_writable_bytes(std::span(buffer_).subspan(old_size)));
    read_bytes_ += count;
  }

  std::unique_ptr<runtime::File> file_;
  int64_t size_bytes_;
  int64_t read_bytes_ = 0;
  std::string delimiter_;
  std::string buffer_;
  size_t begin_ = 0;
};

bool is_row_file(const std::string& path) {
  return path.ends_with(".jsonl");
}

/// Links may lead in circles, so a directory counts once, under the first of its names.
void add_directory(runtime::Files& files, const std::string& directory, std::set<std::string>& visited,
                   std::vector<TextFile>& texts) {
  if (!visited.insert(files.real_path(directory)).second) return;
  for (const std::string& name : files.list(directory)) {
    if (name.starts_with('.')) continue;
    const std::string path = directory.ends_with('/') ? directory + name : directory + "/" + name;
    if (files.is_directory(path)) {
      add_directory(files, path, visited, texts);
      continue;
    }
    const bool is_broken_link = !files.exists(path);  // text that is missing: open says so
    if (files.is_regular_file(path) || is_broken_link) {
      texts.push_back({.path = path, .rows = is_row_file(path)});
    }
  }
}

bool is_blank(std::string_view line) {
  return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

void visit_rows(runtime::Files& files, const std::string& path,
                const std::function<void(std::string_view document)>& visit) {
  PieceReader lines(files, path, "\n");
  std::string_view line;
  for (int64_t number = 1; lines.next(line); ++number) {
    if (is_blank(line)) continue;
    const std::string place = path + ", line " + std::to_string(number) + ": ";
    boost::json::error_code error;
    const boost::json::value row = boost::json::parse({line.data(), line.size()}, error);
    if (error) {
      throw Error(ErrorKind::data,
                  place + "not valid JSON (" + error.message() + "): a .jsonl file holds one object a line");
    }
    const boost::json::value* text = row.is_object() ? row.get_object().if_contains("text") : nullptr;
    if (text == nullptr || !text->is_string()) {
      throw Error(ErrorKind::data,
                  place + "no field \"text\" with a string: each row must be like {\"text\": \"...\"}");
    }
    const std::string_view document(text->get_string().data(), text->get_string().size());
    if (!document.empty()) visit(document);
  }
}

}  // namespace

std::vector<TextFile> list_text_files(runtime::Files& files, std::span<const std::string> inputs) {
  if (inputs.empty()) {
    throw Error(ErrorKind::usage, "no --input: give text files, .jsonl files or directories of them");
  }
  std::vector<TextFile> texts;
  for (const std::string& input : inputs) {
    if (!files.exists(input)) {
      throw Error(ErrorKind::usage,
                  "--input " + input + " does not exist: give a text file, a .jsonl file or a directory");
    }
    if (files.is_regular_file(input)) {
      texts.push_back({.path = input, .rows = is_row_file(input)});
      continue;
    }
    if (!files.is_directory(input)) {
      throw Error(ErrorKind::usage, "--input " + input +
                                        " is not a regular file: the text is read twice, so save what a pipe or device "
                                        "gives to a file first");
    }
    const size_t before = texts.size();
    std::set<std::string> visited;
    add_directory(files, input, visited, texts);
    if (texts.size() == before) {
      throw Error(ErrorKind::data,
                  "--input " + input + " is a directory without text files (hidden ones do not count)");
    }
  }
  return texts;
}

void for_each_document(runtime::Files& files, std::span<const TextFile> texts,
                       const std::optional<std::string>& separator,
                       const std::function<void(std::string_view document)>& visit) {
  if (separator.has_value() && separator->empty()) {
    throw Error(ErrorKind::usage, "--document-separator is empty: leave it out for one document a file");
  }
  for (const TextFile& text : texts) {
    if (text.rows) {
      visit_rows(files, text.path, visit);
    } else if (separator.has_value()) {
      PieceReader pieces(files, text.path, *separator);
      std::string_view piece;
      while (pieces.next(piece)) {
        if (!piece.empty()) visit(piece);
      }
    } else {
      const std::string document = runtime::read_text(files, text.path);
      if (!document.empty()) visit(document);
    }
  }
}

}  // namespace trireme::data
