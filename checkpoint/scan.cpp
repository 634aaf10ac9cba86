#include "checkpoint/scan.h"

#include <algorithm>
#include <span>

#include "checkpoint/piece_reader.h"
#include "runtime/digest.h"

namespace trireme::checkpoint {

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
  size_t first = 0;  // slices before it end before the piece
  const auto add_slices = [&](int64_t begin, std::span<const std::byte> bytes) {
    const int64_t end = begin + static_cast<int64_t>(bytes.size());
    while (first < slices.size() && slices[first].offset_bytes + slices[first].bytes <= begin) ++first;
    for (size_t i = first; i < slices.size() && slices[i].offset_bytes < end; ++i) {
      const int64_t from = std::max(slices[i].offset_bytes, begin);
      const int64_t to = std::min(slices[i].offset_bytes + slices[i].bytes, end);
      if (to <= from) continue;
      slice_crcs[i] = runtime::crc32c(bytes.subspan(static_cast<size_t>(from - begin), static_cast<size_t>(to - from)),
                                      slice_crcs[i]);
    }
  };
  scan.file.crc32c = read_in_pieces(*file, {.offset_bytes = 0, .bytes = scan.file.bytes}, add_slices);
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
