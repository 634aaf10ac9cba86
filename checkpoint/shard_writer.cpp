#include "checkpoint/shard_writer.h"

#include <array>
#include <map>

#include "checkpoint/scan.h"
#include "runtime/digest.h"
#include "runtime/error.h"
#include "runtime/h5.h"

namespace trireme::checkpoint {
namespace {

using runtime::Error;
using runtime::ErrorKind;

void check_slice(const TensorSlice& slice) {
  if (slice.global_shape.empty()) {
    throw Error(ErrorKind::internal,
                tensor_title(slice.name, slice.kind) + " has no axes; a single value has the shape [1]");
  }
  const bool ranks_fit =
      slice.box.size.size() == slice.global_shape.size() && slice.box.start.size() == slice.box.size.size();
  if (!ranks_fit || slice.data.elements() != slice.box.elements() || slice.data.data == nullptr) {
    throw Error(ErrorKind::internal, tensor_title(slice.name, slice.kind) + ": a view " + to_string(slice.data.shape) +
                                         " does not hold the slice " + to_string(slice.box) + " of " +
                                         to_string(parallel::whole(slice.global_shape)));
  }
}

StoredSlice write_slice(runtime::H5Writer& writer, const TensorSlice& slice, const std::string& file,
                        const std::string& dataset_path) {
  StoredSlice stored;
  stored.tensor = slice.name;
  stored.kind = slice.kind;
  stored.box = slice.box;
  stored.file = file;
  stored.dataset = dataset_path;
  stored.bytes = slice.data.bytes();
  // Of the memory itself, before HDF5 sees it.
  stored.crc32c = runtime::crc32c({static_cast<const std::byte*>(slice.data.data), static_cast<size_t>(stored.bytes)});
  const runtime::H5Dataset dataset = writer.create(dataset_path, slice.data.dtype, slice.box.size);
  writer.write(dataset, 0, slice.data);
  writer.attribute(dataset_path, "global_shape", slice.global_shape);
  writer.attribute(dataset_path, "box_start", slice.box.start);
  writer.attribute(dataset_path, "box_size", slice.box.size);
  writer.attribute(dataset_path, "crc32c", crc_text(stored.crc32c));
  stored.offset_bytes = dataset.offset_bytes;
  return stored;
}

}  // namespace

WrittenShard write_shard(runtime::Files& files, const std::string& directory, const std::string& name,
                         std::span<const TensorSlice> slices) {
  const std::string path = directory + "/" + name;
  WrittenShard shard;
  std::map<std::string, int> slices_of_tensor;
  runtime::H5Writer writer(path);
  writer.attribute("/", "format", "trireme-checkpoint 1.0");
  for (const TensorSlice& slice : slices) {
    check_slice(slice);
    const std::string tensor_path = "/" + slice.kind + "/" + slice.name;
    const std::string dataset_path = tensor_path + "/" + std::to_string(slices_of_tensor[tensor_path]++);
    shard.slices.push_back(write_slice(writer, slice, name, dataset_path));
    shard.tensors.push_back({slice.name, slice.kind, slice.data.dtype, slice.global_shape});
  }
  writer.finish();

  files.open(path)->sync();
  FileScan scan = scan_file(files, directory, name, shard.slices);
  if (!scan.bad_slices.empty()) {
    throw Error(ErrorKind::io, directory + "/" + scan.bad_slices.front() + " right after it was written");
  }
  shard.file = std::move(scan.file);
  return shard;
}

}  // namespace trireme::checkpoint
