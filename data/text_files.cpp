#include "data/text_files.h"

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "data/byte_source.h"
#include "data/dataset_manifest.h"
#include "runtime/error.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;
using namespace std::string_view_literals;

namespace {

struct Signature {
  size_t offset;
  std::string_view bytes;
  std::string_view kind;
};

// Of decompressed content. None of these can begin a text by chance.
constexpr std::array kSignatures = {
    Signature{0, "\x89HDF\r\n\x1A\n", "an HDF5 file"},
    Signature{0, "\x89PNG\r\n\x1A\n", "a PNG image"},
    Signature{0, "\xFF\xD8\xFF", "a JPEG image"},
    Signature{0, "GIF87a", "a GIF image"},
    Signature{0, "GIF89a", "a GIF image"},
    Signature{0, "%PDF-", "a PDF document"},
    Signature{0, "PK\x03\x04", "a zip archive"},
    Signature{257, "ustar", "a tar archive"},
    Signature{0, "7z\xBC\xAF\x27\x1C", "a 7z archive"},
    Signature{0, "Rar!\x1A\x07", "a rar archive"},
    Signature{0, "\xFD\x37zXZ\x00"sv, "compressed by xz"},
    Signature{4, "1AY&SY", "compressed by bzip2"},
    Signature{0, "\x04\x22\x4D\x18", "compressed by lz4"},
    Signature{0, "\x1F\x8B\x08", "compressed twice"},
    Signature{0, "\x28\xB5\x2F\xFD", "compressed twice"},
    Signature{0, "\x7F\x45LF", "a program"},
    Signature{0, "PAR1\x15", "a Parquet table"},
    Signature{0, "ARROW1\x00\x00"sv, "an Arrow table"},
    Signature{0, "\x93NUMPY", "a NumPy array"},
    Signature{0, "SQLite format 3\x00"sv, "an SQLite database"},
    Signature{0, "MMIDIDX\x00\x00"sv, "an index of Megatron's tokens"},
    Signature{0, "GGUF\x03\x00"sv, "a GGUF model"},
    Signature{0, "\xFF\xFE", "UTF-16"},
    Signature{0, "\xFE\xFF", "UTF-16"},
};

std::string mend(std::string_view kind) {
  if (kind == "UTF-16") return "convert it with iconv -f UTF-16 -t UTF-8";
  if (kind.starts_with("compressed")) return "decompress it first, or use gzip or zstd";
  return "unpack or convert it, or keep it out of --input";
}

void refuse_what_is_no_text(ByteSource& source, const std::string& path) {
  std::array<char, 512> bytes;
  const std::string_view beginning(bytes.data(), source.read(bytes));
  for (const Signature& signature : kSignatures) {
    if (beginning.size() > signature.offset && beginning.substr(signature.offset).starts_with(signature.bytes)) {
      throw Error(ErrorKind::data,
                  path + " is no text but " + std::string(signature.kind) + ": " + mend(signature.kind));
    }
  }
}

TextFile text_file(runtime::Files& files, const std::string& path) {
  ByteSource source(files, path, 1 << 14);
  refuse_what_is_no_text(source, path);
  return {.path = path, .rows = holds_rows(path), .size_bytes = source.size_bytes()};
}

/// dataset.json alone is a name that others use too.
void refuse_dataset(runtime::Files& files, const std::string& directory) {
  const std::string path = manifest_path(directory);
  if (!files.is_regular_file(path)) return;
  std::array<char, 1 << 12> bytes;
  const std::string_view beginning(bytes.data(), ByteSource(files, path, 1 << 14).read(bytes));
  if (beginning.find("\"trireme-dataset\"") == std::string_view::npos) return;
  throw Error(ErrorKind::usage,
              "--input: " + directory + " is a prepared dataset, not text: give the text that it was made from");
}

/// Links may lead in circles, so a directory counts once, under the first of its names.
void add_directory(runtime::Files& files, const std::string& directory, std::set<std::string>& visited,
                   std::vector<TextFile>& texts) {
  if (!visited.insert(files.real_path(directory)).second) return;
  refuse_dataset(files, directory);
  for (const std::string& name : files.list(directory)) {
    if (name.starts_with('.')) continue;
    const std::string path = directory.ends_with('/') ? directory + name : directory + "/" + name;
    if (files.is_directory(path)) {
      add_directory(files, path, visited, texts);
      continue;
    }
    const bool is_broken_link = !files.exists(path);  // text that is missing: open says so
    if (files.is_regular_file(path) || is_broken_link) texts.push_back(text_file(files, path));
  }
}

}  // namespace

bool holds_rows(const std::string& path) {
  std::string name(name_inside(path));
  std::ranges::transform(name, name.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c; });
  return name.ends_with(".jsonl") || name.ends_with(".ndjson");
}

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
      texts.push_back(text_file(files, input));
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

}  // namespace trireme::data
