#include <hdf5.h>

#include <algorithm>
#include <map>
#include <set>

#include "runtime/h5.h"
#include "runtime/h5_handle.h"

namespace trireme::runtime {

using h5::Handle;

struct H5Writer::State {
  std::string path;
  Handle file;
  std::map<std::string, Handle> datasets;
  std::set<std::string> groups;
  // After a failed write HDF5 1.10 reports success for flush and close of a file with holes; so a failure is for good.
  bool failed = false;

  Error fail(const std::string& doing) {
    failed = true;
    return h5::failure(doing, path, ErrorKind::io);
  }
  void make_parents(const std::string& object);
  void store(const Handle& object, const std::string& name, const Handle& type, const Handle& space, const void* value);
};

namespace {

// Objects carry no times, so that equal input gives equal bytes. An intermediate group made by HDF5 itself would.
Handle creation_without_times(hid_t list_class) {
  Handle list(H5Pcreate(list_class), H5Pclose);
  if (list.valid() && H5Pset_obj_track_times(list.id(), false) < 0) list.close();
  return list;
}

std::vector<hsize_t> sizes_of(std::span<const int64_t> shape) {
  return {shape.begin(), shape.end()};
}

struct Piece {
  std::vector<hsize_t> start;
  std::vector<hsize_t> count;
  int64_t elements = 0;
};

// The largest box of `shape` that begins at flat element `begin` and whose elements are the next ones in row-major
// order, `most` at most. A flat range of a tensor of R axes is at most 2R - 1 such boxes.
Piece next_piece(std::span<const int64_t> shape, int64_t begin, int64_t most) {
  size_t axis = shape.size() - 1;  // the axis along which the box is cut; whole beyond it
  int64_t stride = 1;
  while (axis > 0 && begin % (stride * shape[axis]) == 0 && most >= stride * shape[axis]) stride *= shape[axis--];

  Piece piece{std::vector<hsize_t>(shape.size(), 0), sizes_of(shape), 0};
  int64_t rest = begin / stride;
  const int64_t index = rest % shape[axis];
  const int64_t count = std::min(shape[axis] - index, most / stride);
  piece.elements = count * stride;
  piece.start[axis] = static_cast<hsize_t>(index);
  piece.count[axis] = static_cast<hsize_t>(count);
  while (axis > 0) {
    rest /= shape[axis--];
    piece.start[axis] = static_cast<hsize_t>(rest % shape[axis]);
    piece.count[axis] = 1;
  }
  return piece;
}

}  // namespace

H5Writer::H5Writer(const std::string& path) : state_(std::make_unique<State>()) {
  h5::prepare_thread();
  state_->path = path;
  const Handle access = h5::file_access(path);
  const Handle creation = creation_without_times(H5P_FILE_CREATE);
  state_->file = Handle(H5Fcreate(path.c_str(), H5F_ACC_EXCL, creation.id(), access.id()), H5Fclose);
  if (!state_->file.valid()) throw state_->fail("create");
}

H5Writer::~H5Writer() {
  h5::prepare_thread();
}

void H5Writer::State::make_parents(const std::string& object) {
  for (size_t slash = object.find('/', 1); slash != std::string::npos; slash = object.find('/', slash + 1)) {
    const std::string group = object.substr(0, slash);
    if (!groups.insert(group).second) continue;
    const Handle creation = creation_without_times(H5P_GROUP_CREATE);
    const Handle made(H5Gcreate2(file.id(), group.c_str(), H5P_DEFAULT, creation.id(), H5P_DEFAULT), H5Gclose);
    if (!made.valid()) throw fail("create the group " + group + " in");
  }
}

H5Dataset H5Writer::create(const std::string& path, DType dtype, std::span<const int64_t> shape) {
  h5::prepare_thread();
  if (shape.empty()) {
    throw Error(ErrorKind::internal, "the dataset " + path + " of " + state_->path + " has no axes");
  }
  state_->make_parents(path);
  const std::vector<hsize_t> sizes = sizes_of(shape);
  const Handle space(H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr), H5Sclose);
  const Handle creation = creation_without_times(H5P_DATASET_CREATE);
  if (!space.valid() || !creation.valid() || H5Pset_layout(creation.id(), H5D_CONTIGUOUS) < 0 ||
      H5Pset_alloc_time(creation.id(), H5D_ALLOC_TIME_EARLY) < 0 ||
      H5Pset_fill_time(creation.id(), H5D_FILL_TIME_NEVER) < 0) {
    throw state_->fail("describe " + path + " in");
  }
  Handle dataset(H5Dcreate2(state_->file.id(), path.c_str(), h5::type_of(dtype), space.id(), H5P_DEFAULT, creation.id(),
                            H5P_DEFAULT),
                 H5Dclose);
  if (!dataset.valid()) throw state_->fail("create " + path + " in");
  const haddr_t offset = H5Dget_offset(dataset.id());
  const bool empty = std::ranges::find(shape, 0) != shape.end();  // HDF5 gives it no place
  if (offset == HADDR_UNDEF && !empty) throw state_->fail("find the place of " + path + " in");
  state_->datasets[path] = std::move(dataset);
  return {path, dtype, {shape.begin(), shape.end()}, empty ? 0 : static_cast<int64_t>(offset)};
}

void H5Writer::write(const H5Dataset& dataset, int64_t begin, ConstView data) {
  h5::prepare_thread();
  const auto found = state_->datasets.find(dataset.path);
  int64_t elements = 1;
  for (int64_t size : dataset.shape) elements *= size;
  if (found == state_->datasets.end() || data.dtype != dataset.dtype || begin < 0 ||
      begin + data.elements() > elements) {
    throw Error(ErrorKind::internal, "elements [" + std::to_string(begin) + ", " +
                                         std::to_string(begin + data.elements()) + ") of " +
                                         std::string(name(data.dtype)) + " do not fit the dataset " + dataset.path +
                                         " of " + std::to_string(elements) + " " + std::string(name(dataset.dtype)));
  }
  const hid_t type = h5::type_of(dataset.dtype);
  for (int64_t done = 0; done < data.elements();) {
    const Piece piece = next_piece(dataset.shape, begin + done, data.elements() - done);
    const auto count = static_cast<hsize_t>(piece.elements);
    const Handle memory(H5Screate_simple(1, &count, nullptr), H5Sclose);
    const Handle place(H5Dget_space(found->second.id()), H5Sclose);
    const char* bytes = static_cast<const char*>(data.data) + done * size_bytes(data.dtype);
    if (!memory.valid() || !place.valid() ||
        H5Sselect_hyperslab(place.id(), H5S_SELECT_SET, piece.start.data(), nullptr, piece.count.data(), nullptr) < 0 ||
        H5Dwrite(found->second.id(), type, memory.id(), place.id(), H5P_DEFAULT, bytes) < 0) {
      throw state_->fail("write " + dataset.path + " in");
    }
    done += piece.elements;
  }
}

void H5Writer::State::store(const Handle& object, const std::string& name, const Handle& type, const Handle& space,
                            const void* value) {
  const Handle attribute(object.valid()
                             ? H5Acreate2(object.id(), name.c_str(), type.id(), space.id(), H5P_DEFAULT, H5P_DEFAULT)
                             : H5I_INVALID_HID,
                         H5Aclose);
  if (!attribute.valid() || H5Awrite(attribute.id(), type.id(), value) < 0) {
    throw fail("write the attribute " + name + " in");
  }
}

void H5Writer::attribute(const std::string& path, const std::string& name, const std::string& value) {
  h5::prepare_thread();
  const Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  if (H5Tset_size(type.id(), std::max<size_t>(value.size(), 1)) < 0 || H5Tset_cset(type.id(), H5T_CSET_UTF8) < 0 ||
      H5Tset_strpad(type.id(), H5T_STR_NULLPAD) < 0) {
    throw state_->fail("describe the attribute " + name + " in");
  }
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  state_->store(Handle(H5Oopen(state_->file.id(), path.c_str(), H5P_DEFAULT), H5Oclose), name, type, space,
                value.c_str());
}

void H5Writer::attribute(const std::string& path, const std::string& name, std::span<const int64_t> value) {
  h5::prepare_thread();
  const Handle type(H5Tcopy(H5T_STD_I64LE), H5Tclose);
  const hsize_t count = value.size();
  const Handle space(H5Screate_simple(1, &count, nullptr), H5Sclose);
  const int64_t nothing = 0;  // HDF5 wants an address even for no values
  state_->store(Handle(H5Oopen(state_->file.id(), path.c_str(), H5P_DEFAULT), H5Oclose), name, type, space,
                value.empty() ? &nothing : value.data());
}

void H5Writer::finish() {
  h5::prepare_thread();
  if (state_->failed || !state_->file.valid()) {
    throw Error(ErrorKind::io, state_->path + " is not whole: a write to it failed before");
  }
  for (auto& [path, dataset] : state_->datasets) {
    if (!dataset.close()) throw state_->fail("close " + path + " in");
  }
  if (H5Fflush(state_->file.id(), H5F_SCOPE_GLOBAL) < 0) throw state_->fail("write");
  if (!state_->file.close()) throw state_->fail("close");
  // The file records its own length; opening it again proves that it was reached.
  const Handle access = h5::file_access(state_->path);
  const Handle again(H5Fopen(state_->path.c_str(), H5F_ACC_RDONLY, access.id()), H5Fclose);
  if (!again.valid()) throw state_->fail("open what was written to");
}

}  // namespace trireme::runtime
