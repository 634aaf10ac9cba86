#include "checkpoint/shard_writer.h"

#include <algorithm>
#include <map>

#include "checkpoint/scan.h"
#include "runtime/digest.h"
#include "runtime/error.h"
#include "runtime/h5.h"

namespace trireme::checkpoint {
namespace {

using runtime::Error;
using runtime::ErrorKind;

std::string does_not_fit(const TensorSlice& slice, const std::string& what) {
  return tensor_title(slice.name, slice.kind) + ": " + what + " does not hold the slice " + to_string(slice.box) +
         " of " + to_string(parallel::whole(slice.global_shape));
}

/// Writes `piece` from byte `begin` of the dataset on and adds it to `crc32c`, part by part, so that the cache holds
/// what is read twice: the CRC32C is that of the memory itself. Now and then the disk is set to work on what is there.
void write_piece(runtime::H5Writer& writer, const runtime::H5Dataset& dataset, int64_t begin,
                 std::span<const std::byte> piece, uint32_t& crc32c) {
  constexpr size_t kPartBytes = size_t{1} << 20;
  constexpr int64_t kStartBytes = int64_t{32} << 20;
  const int64_t element_bytes = runtime::size_bytes(dataset.dtype);
  while (!piece.empty()) {
    const std::span<const std::byte> part = piece.first(std::min(piece.size(), kPartBytes));
    crc32c = runtime::crc32c(part, crc32c);
    writer.write(dataset, begin / element_bytes,
                 runtime::ConstView{part.data(), dataset.dtype, {std::ssize(part) / element_bytes}});
    const int64_t place = dataset.offset_bytes + begin;
    if (place / kStartBytes != (place + std::ssize(part)) / kStartBytes) writer.file().start_sync();
    piece = piece.subspan(part.size());
    begin += std::ssize(part);
  }
}

StoredSlice write_slice(runtime::H5Writer& writer, const TensorSlice& slice, const std::string& file,
                        const std::string& dataset_path, SliceBytes& bytes) {
  const runtime::DType dtype = slice.data.dtype;
  const int64_t element_bytes = runtime::size_bytes(dtype);
  const runtime::H5Dataset dataset = writer.create(dataset_path, dtype, slice.box.size);
  StoredSlice stored{.tensor = slice.name,
                     .kind = slice.kind,
                     .box = slice.box,
                     .file = file,
                     .dataset = dataset_path,
                     .offset_bytes = dataset.offset_bytes,
                     .bytes = slice.box.elements() * element_bytes};
  for (int64_t done = 0; done < stored.bytes;) {
    const std::span<const std::byte> piece = bytes.next();
    const auto count = static_cast<int64_t>(piece.size());
    if (count > stored.bytes - done || count % element_bytes != 0) {
      throw Error(ErrorKind::internal, does_not_fit(slice, "a piece of " + std::to_string(count) + " bytes"));
    }
    write_piece(writer, dataset, done, piece, stored.crc32c);
    done += count;
  }
  writer.attribute(dataset_path, "global_shape", slice.global_shape);
  writer.attribute(dataset_path, "box_start", slice.box.start);
  writer.attribute(dataset_path, "box_size", slice.box.size);
  writer.attribute(dataset_path, "crc32c", crc_text(stored.crc32c));
  return stored;
}

StoredFile read_back(runtime::File& file, const std::string& directory, const std::string& name,
                     const std::vector<StoredSlice>& slices) {
  try {
    FileScan scan = scan_file(file, name, slices);
    if (scan.bad_slices.empty()) return std::move(scan.file);
    throw Error(ErrorKind::io, directory + "/" + scan.bad_slices.front() + " right after it was written");
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data)
      throw;  // a file that is too short now: it is the disk's, not a checkpoint's fault
    throw Error(ErrorKind::io, error.what());
  }
}

}  // namespace

void check_slice(const TensorSlice& slice) {
  if (slice.global_shape.empty()) {
    throw Error(ErrorKind::internal,
                tensor_title(slice.name, slice.kind) + " has no axes; a single value has the shape [1]");
  }
  const size_t axes = slice.global_shape.size();
  if (slice.box.size.size() != axes || slice.box.start.size() != axes || slice.data.data == nullptr ||
      slice.data.elements() != slice.box.elements()) {
    throw Error(ErrorKind::internal, does_not_fit(slice, "a view " + to_string(slice.data.shape)));
  }
}

WrittenShard write_shard(runtime::Files& files, const std::string& directory, const std::string& name,
                         std::span<const TensorSlice> slices, SliceBytes& bytes) {
  const std::string path = directory + "/" + name;
  WrittenShard shard;
  std::map<std::string, int> slices_of_tensor;
  runtime::H5Writer writer(files, path);
  writer.attribute("/", "format", "trireme-checkpoint 1.0");
  for (const TensorSlice& slice : slices) {
    const std::string tensor_path = "/" + slice.kind + "/" + slice.name;
    const std::string dataset_path = tensor_path + "/" + std::to_string(slices_of_tensor[tensor_path]++);
    shard.slices.push_back(write_slice(writer, slice, name, dataset_path, bytes));
    shard.tensors.push_back({slice.name, slice.kind, slice.data.dtype, slice.global_shape});
  }
  writer.finish();

  writer.file().start_sync();  // the disk writes while this reads
  shard.file = read_back(writer.file(), directory, name, shard.slices);
  writer.file().sync();
  return shard;
}

}  // namespace trireme::checkpoint
