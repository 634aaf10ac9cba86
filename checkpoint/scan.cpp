#include "checkpoint/scan.h"

#include <algorithm>
#include <span>

#include "checkpoint/piece_reader.h"
#include "runtime/digest.h"

namespace trireme::checkpoint {
namespace {

/// The CRC32C of each part of a file between two neighbouring borders, put together to that of any two borders: each
/// byte is summed once, though it counts for a slice and for the file.
class PartCrcs {
 public:
  /// Ascending, each once, the first 0.
  explicit PartCrcs(std::vector<int64_t> borders) : borders_(std::move(borders)), crcs_(borders_.size() - 1, 0) {}

  /// The next bytes of the file, not beyond the last border.
  void add(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const auto rest = static_cast<size_t>(borders_[part_ + 1] - end_);
      const std::span<const std::byte> inside = bytes.first(std::min(bytes.size(), rest));
      crcs_[part_] = runtime::crc32c(inside, crcs_[part_]);
      bytes = bytes.subspan(inside.size());
      end_ += std::ssize(inside);
      if (end_ == borders_[part_ + 1]) ++part_;
    }
  }

  uint32_t between(int64_t begin, int64_t end) const {
    uint32_t crc = 0;
    auto part = static_cast<size_t>(std::ranges::lower_bound(borders_, begin) - borders_.begin());
    for (; part < crcs_.size() && borders_[part] < end; ++part) {
      crc = runtime::crc32c_combine(crc, crcs_[part], borders_[part + 1] - borders_[part]);
    }
    return crc;
  }

 private:
  std::vector<int64_t> borders_;
  std::vector<uint32_t> crcs_;
  size_t part_ = 0;  ///< that the next byte belongs to
  int64_t end_ = 0;  ///< of what was added
};

std::vector<int64_t> borders_of(std::span<const StoredSlice> slices, int64_t file_bytes) {
  std::vector<int64_t> borders = {0, file_bytes};
  for (const StoredSlice& slice : slices) {
    for (int64_t place : {slice.offset_bytes, slice.offset_bytes + slice.bytes}) {
      borders.push_back(std::clamp(place, int64_t{0}, file_bytes));
    }
  }
  std::ranges::sort(borders);
  const auto repeated = std::ranges::unique(borders);
  borders.erase(repeated.begin(), repeated.end());
  return borders;
}

}  // namespace

std::string slice_problem(const StoredSlice& slice, uint32_t found_crc32c) {
  return slice.file + ": " + tensor_title(slice.tensor, slice.kind) + " " + to_string(slice.box) + ": CRC32C " +
         crc_text(found_crc32c) + ", not " + crc_text(slice.crc32c) + " as recorded";
}

FileScan scan_file(runtime::File& file, const std::string& name, std::vector<StoredSlice> slices) {
  std::ranges::sort(slices, {}, &StoredSlice::offset_bytes);
  FileScan scan{.file = {.name = name, .bytes = file.size_bytes(), .crc32c = 0}, .bad_slices = {}};
  PartCrcs crcs(borders_of(slices, scan.file.bytes));
  read_in_pieces(file, {.offset_bytes = 0, .bytes = scan.file.bytes},
                 [&](int64_t, std::span<const std::byte> piece) { crcs.add(piece); });
  scan.file.crc32c = crcs.between(0, scan.file.bytes);
  for (const StoredSlice& slice : slices) {
    const int64_t end = slice.offset_bytes + slice.bytes;
    if (end > scan.file.bytes) {
      scan.bad_slices.push_back(name + ": " + tensor_title(slice.tensor, slice.kind) + " " + to_string(slice.box) +
                                " lies beyond the end of the file");
    } else if (const uint32_t crc = crcs.between(slice.offset_bytes, end); crc != slice.crc32c) {
      scan.bad_slices.push_back(slice_problem(slice, crc));
    }
  }
  return scan;
}

FileScan scan_file(runtime::Files& files, const std::string& step_directory, const std::string& name,
                   std::vector<StoredSlice> slices) {
  return scan_file(*files.open(step_directory + "/" + name), name, std::move(slices));
}

}  // namespace trireme::checkpoint
