#include "data/byte_source.h"

#include <algorithm>
#include <array>
#include <utility>

#include "runtime/error.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;

ByteSource::ByteSource(runtime::Files& files, std::string path, int64_t chunk_bytes)
    : path_(std::move(path)), file_(files.open(path_)), size_bytes_(file_->size_bytes()), chunk_bytes_(chunk_bytes) {
  std::array<char, 4> beginning;
  const size_t count = static_cast<size_t>(std::min<int64_t>(size_bytes_, beginning.size()));
  file_->read_at(0, std::as_writable_bytes(std::span(beginning).first(count)));
  decompressor_ = make_decompressor({beginning.data(), count});
  if (decompressor_ == nullptr && name_inside(path_) != path_) {
    throw Error(ErrorKind::data, path_ +
                                     " has the name of a compressed file, but its content is neither gzip nor zstd: " +
                                     "get it again if it is damaged, rename it if it is text");
  }
}

size_t ByteSource::read(std::span<char> bytes) {
  if (decompressor_ == nullptr) return read_plain(bytes);
  size_t count = 0;
  while (count < bytes.size()) {
    if (begin_ == chunk_.size() && read_bytes_ < size_bytes_) read_chunk();
    const Decompressor::Step step = decompress(bytes.subspan(count));
    begin_ += step.consumed;
    count += step.produced;
    produced_bytes_ += static_cast<int64_t>(step.produced);
    if (step.consumed > 0 || step.produced > 0 || read_bytes_ < size_bytes_) continue;
    if (!decompressor_->may_end()) {
      throw Error(ErrorKind::data,
                  path_ + " is cut short: its compressed content does not end, " + how_far() + "; get it again");
    }
    break;
  }
  return count;
}

size_t ByteSource::read_plain(std::span<char> bytes) {
  const size_t count = static_cast<size_t>(std::min(std::ssize(bytes), size_bytes_ - read_bytes_));
  file_->read_at(read_bytes_, std::as_writable_bytes(bytes.first(count)));
  read_bytes_ += static_cast<int64_t>(count);
  return count;
}

void ByteSource::read_chunk() {
  chunk_.resize(static_cast<size_t>(std::min(chunk_bytes_, size_bytes_ - read_bytes_)));
  file_->read_at(read_bytes_, std::as_writable_bytes(std::span(chunk_)));
  read_bytes_ += std::ssize(chunk_);
  begin_ = 0;
}

Decompressor::Step ByteSource::decompress(std::span<char> output) {
  try {
    return decompressor_->decompress(std::span(chunk_).subspan(begin_), output);
  } catch (const Error& error) {
    throw Error(error.kind(), path_ + " is damaged (" + error.what() + ") " + how_far() + "; get it again");
  }
}

std::string ByteSource::how_far() const {
  const int64_t at = read_bytes_ - static_cast<int64_t>(chunk_.size() - begin_);
  return "at byte " + std::to_string(at) + " of " + std::to_string(size_bytes_) + ", after " +
         std::to_string(produced_bytes_) + " bytes of text";
}

std::string_view name_inside(std::string_view path) {
  for (const std::string_view ending : {".gz", ".zst"}) {
    if (path.ends_with(ending)) return path.substr(0, path.size() - ending.size());
  }
  return path;
}

}  // namespace trireme::data
