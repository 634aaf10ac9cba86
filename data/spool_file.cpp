#include "data/spool_file.h"

#include <algorithm>

#include "runtime/error.h"

namespace trireme::data {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;

std::unique_ptr<runtime::File> open_spool(runtime::Files& files, const std::string& path, int64_t keep_bytes) {
  if (keep_bytes > 0) {
    std::unique_ptr<runtime::File> file = files.open_for_writing(path);
    file->resize(keep_bytes);
    return file;
  }
  files.remove_all(path);
  return files.create(path);
}

runtime::Xxh3Stream hash_of_first(runtime::File& file, int64_t bytes) {
  runtime::Xxh3Stream hash;
  std::vector<std::byte> part(static_cast<size_t>(std::min<int64_t>(bytes, kBufferBytes)));
  for (int64_t done = 0; done < bytes; done += std::ssize(part)) {
    part.resize(std::min(part.size(), static_cast<size_t>(bytes - done)));
    file.read_at(done, part);
    hash.update(part);
  }
  return hash;
}

}  // namespace

SpoolFile::SpoolFile(runtime::Files& files, std::string path, const SpoolMark& kept)
    : file_(open_spool(files, path, kept.bytes)), size_bytes_(kept.bytes), hash_(hash_of_first(*file_, kept.bytes)) {
  if (kept.bytes > 0 && hash_.peek() != kept.hash) {  // damage() is asked before: it happened since
    throw runtime::Error(runtime::ErrorKind::data, path + " is damaged: run the same command again");
  }
}

void SpoolFile::append(std::span<const std::byte> bytes) {
  size_bytes_ += static_cast<int64_t>(bytes.size());
  hash_.update(bytes);
  buffer_.insert(buffer_.end(), bytes.begin(), bytes.end());
  if (buffer_.size() >= kBufferBytes) flush();
}

void SpoolFile::read_at(int64_t offset, std::span<std::byte> bytes) {
  flush();
  file_->read_at(offset, bytes);
}

void SpoolFile::sync() {
  flush();
  file_->sync();
}

std::optional<std::string> SpoolFile::damage(runtime::Files& files, const std::string& path, const SpoolMark& mark) {
  if (mark.bytes == 0) return std::nullopt;
  if (!files.exists(path)) return "is missing";
  const std::unique_ptr<runtime::File> file = files.open(path);
  if (file->size_bytes() < mark.bytes) return "is cut short";
  if (hash_of_first(*file, mark.bytes).peek() != mark.hash) return "does not match its hash";
  return std::nullopt;
}

void SpoolFile::flush() {
  if (buffer_.empty()) return;
  file_->append(buffer_);
  buffer_.clear();
}

}  // namespace trireme::data
