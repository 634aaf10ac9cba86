#include "checkpoint/scan.h"

#include <algorithm>
#include <span>

#include "runtime/digest.h"

namespace trireme::checkpoint {
namespace {

constexpr int64_t kPieceBytes = 8 << 20;

}  // namespace

std::string slice_problem(const StoredSlice& slice, uint32_t found_crc32c) {
  return slice.file + ": " + tensor_title(slice.tensor, slice.kind) + " " + to_string(slice.box) + ": CRC32C " +
         crc_text(found_crc32c) + ", not " + crc_text(slice.crc32c) + " as recorded";
}

FileScan scan_file(runtime::Files& files, const std::string& step_directory, const std::string& name,
                   std::vector<StoredSlice> slices) {
  std::ranges::sort(slices, {}, &StoredSlice::offset_bytes);
  std::vector<uint32_t> slice_crcs(slices.size(), 0);
  const std::unique_ptr<runtime::File> file = files.open(step_directory + "/" + name);
  FileScan scan{.file = {.name = name, .bytes = file->size_bytes(), .crc32c = 0}, .bad_slices = {}};
  std::vector<std::byte> piece(static_cast<size_t>(std::min(kPieceBytes, scan.file.bytes)));
  size_t first = 0;  // slices before it end before the piece
  for (int64_t begin = 0; begin < scan.file.bytes; begin += kPieceBytes) {
    const int64_t end = std::min(begin + kPieceBytes, scan.file.bytes);
    const std::span<std::byte> bytes(piece.data(), static_cast<size_t>(end - begin));
    file->read_at(begin, bytes);
    scan.file.crc32c = runtime::crc32c(bytes, scan.file.crc32c);
    while (first < slices.size() && slices[first].offset_bytes + slices[first].bytes <= begin) ++first;
    for (size_t i = first; i < slices.size() && slices[i].offset_bytes < end; ++i) {
      const int64_t from = std::max(slices[i].offset_bytes, begin);
      const int64_t to = std::min(slices[i].offset_bytes + slices[i].bytes, end);
      if (to <= from) continue;
      slice_crcs[i] = runtime::crc32c(bytes.subspan(static_cast<size_t>(from - begin), static_cast<size_t>(to - from)),
                                      slice_crcs[i]);
    }
  }
  for (size_t i = 0; i < slices.size(); ++i) {
    if (slices[i].offset_bytes + slices[i].bytes > scan.file.bytes) {
      scan.bad_slices.push_back(name + ": " + tensor_title(slices[i].tensor, slices[i].kind) + " " +
                                to_string(slices[i].box) + " lies beyond the end of the file");
    } else if (slice_crcs[i] != slices[i].crc32c) {
      scan.bad_slices.push_back(slice_problem(slices[i], slice_crcs[i]));
    }
  }
  return scan;
}

}  // namespace trireme::checkpoint
