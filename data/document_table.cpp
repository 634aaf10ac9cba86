#include "data/document_table.h"

#include <algorithm>
#include <cstring>

#include "runtime/error.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;

namespace {

constexpr int64_t kChunkBytes = int64_t{1} << 20;

}  // namespace

int64_t dataset_offset(runtime::H5Reader& reader, const std::string& path, int64_t file_bytes,
                       const runtime::H5Dataset& expected) {
  const runtime::H5Dataset found = reader.dataset(expected.path);
  if (found.dtype != expected.dtype || found.shape != expected.shape) {
    throw Error(ErrorKind::data,
                path + ": dataset " + expected.path +
                    " has not the type and size that the attributes say: the file is damaged, prepare the data again");
  }
  int64_t size_bytes = runtime::size_bytes(found.dtype);
  for (const int64_t extent : found.shape) size_bytes *= extent;
  if (found.offset_bytes < 0 || found.offset_bytes > file_bytes - size_bytes) {
    throw Error(ErrorKind::data, path + ": cut short: dataset " + expected.path + " ends behind the end of the file (" +
                                     std::to_string(file_bytes) + " bytes): prepare the data again");
  }
  return found.offset_bytes;
}

DocumentTable::DocumentTable(runtime::H5Reader& reader, runtime::File& file, const std::string& path,
                             const ShardContent& content, ContentDigest& digest)
    : file_(file), documents_(content.documents) {
  if (documents_ == 0) return;  // an empty dataset has no place in the file
  std::vector<std::byte> chunk;
  for (size_t i = 0; i < kDocumentColumns.size(); ++i) {
    const DocumentColumn& column = kDocumentColumns[i];
    std::vector<int64_t> shape = {documents_};
    if (column.width > 1) shape.push_back(column.width);
    offsets_bytes_[i] = dataset_offset(reader, path, file.size_bytes(),
                                       {.path = column.dataset, .dtype = column.dtype, .shape = std::move(shape)});
    const int64_t size_bytes = documents_ * column.width_bytes();
    for (int64_t begin = 0; begin < size_bytes; begin += kChunkBytes) {
      chunk.resize(static_cast<size_t>(std::min(kChunkBytes, size_bytes - begin)));
      file.read_at(offsets_bytes_[i] + begin, chunk);
      digest.update(chunk);
      if (i == 0) check_ends(path, chunk, content.tokens);
    }
  }
}

void DocumentTable::check_ends(const std::string& path, std::span<const std::byte> ends, int64_t tokens) {
  for (; !ends.empty(); ends = ends.subspan(8)) {
    int64_t end = 0;
    std::memcpy(&end, ends.data(), 8);
    if (end <= last_end_ || end > tokens) {
      throw Error(ErrorKind::data, path + ": a document ends at token " + std::to_string(end) + ", after one at " +
                                       std::to_string(last_end_) + " and among " + std::to_string(tokens) +
                                       " tokens: the file is damaged, prepare the data again");
    }
    last_end_ = end;
  }
}

int64_t DocumentTable::end_of(int64_t document) const {
  int64_t end = 0;
  file_.read_at(offsets_bytes_[0] + document * 8, std::as_writable_bytes(std::span(&end, 1)));
  return end;
}

int64_t DocumentTable::first_behind(int64_t token) const {
  int64_t first = 0;
  int64_t last = documents_;
  while (first < last) {
    const int64_t middle = first + (last - first) / 2;
    end_of(middle) > token ? last = middle : first = middle + 1;
  }
  return first;
}

std::vector<DocumentEntry> DocumentTable::entries(int64_t first, int64_t count) const {
  std::vector<std::byte> records(static_cast<size_t>(count) * kDocumentEntryBytes);
  std::vector<std::byte> values;
  size_t at = 0;  // of the column in a record
  for (size_t i = 0; i < kDocumentColumns.size(); ++i) {
    const auto width_bytes = static_cast<size_t>(kDocumentColumns[i].width_bytes());
    values.resize(static_cast<size_t>(count) * width_bytes);
    file_.read_at(offsets_bytes_[i] + first * static_cast<int64_t>(width_bytes), values);
    for (size_t document = 0; document < static_cast<size_t>(count); ++document) {
      std::memcpy(records.data() + document * kDocumentEntryBytes + at, values.data() + document * width_bytes,
                  width_bytes);
    }
    at += width_bytes;
  }
  std::vector<DocumentEntry> entries;
  for (size_t document = 0; document < static_cast<size_t>(count); ++document) {
    entries.push_back(
        load_entry(std::span(records).subspan(document * kDocumentEntryBytes).first<kDocumentEntryBytes>()));
  }
  return entries;
}

}  // namespace trireme::data
