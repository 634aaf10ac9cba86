#include <hdf5.h>

#include <algorithm>
#include <set>
#include <utility>

#include "runtime/h5.h"
#include "runtime/h5_driver.h"
#include "runtime/h5_handle.h"

namespace trireme::runtime {

using h5::Handle;

struct H5Writer::State {
  State(std::unique_ptr<File> its_file, const std::string& its_path) : path(its_path), below(std::move(its_file)) {}

  std::string path;
  h5::DrivenFile below;
  Handle file;
  Handle group_creation;
  Handle dataset_creation;
  std::set<std::string> groups;
  std::string object_path;  ///< of the object below: the last that was created or given an attribute
  Handle object;
  // A failure is for good: what was to be written then is missing, whatever is written later.
  bool failed = false;

  /// First line of every call.
  void begin() {
    h5::prepare_thread();
    if (failed || !file.valid()) throw Error(ErrorKind::io, path + " is not whole: a write to it failed before");
  }
  /// After each call of HDF5. Throws what the disk said, else, where HDF5 did not work, HDF5's own reason.
  void check(bool worked, const std::string& doing) {
    if (worked && !below.failed()) return;
    failed = true;
    below.check();
    throw h5::failure(doing, path, ErrorKind::io);
  }
  void make_parents(const std::string& of);
  void store(const std::string& at, const std::string& name, int64_t type, const Handle& space, const void* value);
};

namespace {

// Objects carry no times, so that equal input gives equal bytes. An intermediate group made by HDF5 itself would.
Handle creation_without_times(hid_t list_class) {
  Handle list(H5Pcreate(list_class), H5Pclose);
  if (list.valid() && H5Pset_obj_track_times(list.id(), false) < 0) list.close();
  return list;
}

}  // namespace

H5Writer::H5Writer(Files& files, const std::string& path) : H5Writer(files.create(path), path) {}

H5Writer::H5Writer(std::unique_ptr<File> file, const std::string& path)
    : state_(std::make_unique<State>(std::move(file), path)) {
  h5::prepare_thread();
  const Handle access = state_->below.access(path);
  const Handle creation = creation_without_times(H5P_FILE_CREATE);
  state_->file = Handle(H5Fcreate(path.c_str(), H5F_ACC_EXCL, creation.id(), access.id()), H5Fclose);
  state_->check(state_->file.valid(), "create");
  state_->group_creation = creation_without_times(H5P_GROUP_CREATE);
  state_->dataset_creation = creation_without_times(H5P_DATASET_CREATE);
  const hid_t datasets = state_->dataset_creation.id();
  state_->check(state_->group_creation.valid() && H5Pset_layout(datasets, H5D_CONTIGUOUS) >= 0 &&
                    H5Pset_alloc_time(datasets, H5D_ALLOC_TIME_EARLY) >= 0 &&
                    H5Pset_fill_time(datasets, H5D_FILL_TIME_NEVER) >= 0,
                "describe the datasets of");
}

File& H5Writer::file() {
  return state_->below.file();
}

H5Writer::~H5Writer() {
  h5::prepare_thread();
  state_->below.abandon();  // what an unfinished file still lacks
}

void H5Writer::State::make_parents(const std::string& of) {
  for (size_t slash = of.find('/', 1); slash != std::string::npos; slash = of.find('/', slash + 1)) {
    const std::string group = of.substr(0, slash);
    if (!groups.insert(group).second) continue;
    const Handle made(H5Gcreate2(file.id(), group.c_str(), H5P_DEFAULT, group_creation.id(), H5P_DEFAULT), H5Gclose);
    check(made.valid(), "create the group " + group + " in");
  }
}

H5Dataset H5Writer::create(const std::string& path, DType dtype, std::span<const int64_t> shape) {
  state_->begin();
  if (shape.empty()) {
    throw Error(ErrorKind::internal, "the dataset " + path + " of " + state_->path + " has no axes");
  }
  state_->make_parents(path);
  const std::vector<hsize_t> sizes(shape.begin(), shape.end());
  const Handle space(H5Screate_simple(static_cast<int>(sizes.size()), sizes.data(), nullptr), H5Sclose);
  state_->check(space.valid(), "describe " + path + " in");
  state_->object_path = path;
  state_->object = Handle(H5Dcreate2(state_->file.id(), path.c_str(), h5::type_of(dtype), space.id(), H5P_DEFAULT,
                                     state_->dataset_creation.id(), H5P_DEFAULT),
                          H5Dclose);
  state_->check(state_->object.valid(), "create " + path + " in");
  const haddr_t offset = H5Dget_offset(state_->object.id());
  const bool empty = std::ranges::find(shape, 0) != shape.end();  // HDF5 gives it no place
  state_->check(offset != HADDR_UNDEF || empty, "find the place of " + path + " in");
  return {path, dtype, {shape.begin(), shape.end()}, empty ? 0 : static_cast<int64_t>(offset)};
}

// A contiguous dataset lies in the file as it does in memory, at a place that is its own: HDF5 is not needed for it.
void H5Writer::write(const H5Dataset& dataset, int64_t begin, ConstView data) {
  state_->begin();
  int64_t elements = 1;
  for (int64_t size : dataset.shape) elements *= size;
  if (data.dtype != dataset.dtype || begin < 0 || begin + data.elements() > elements) {
    throw Error(ErrorKind::internal, "elements [" + std::to_string(begin) + ", " +
                                         std::to_string(begin + data.elements()) + ") of " +
                                         std::string(name(data.dtype)) + " do not fit the dataset " + dataset.path +
                                         " of " + std::to_string(elements) + " " + std::string(name(dataset.dtype)));
  }
  if (data.elements() == 0) return;
  state_->below.write(dataset.offset_bytes + begin * size_bytes(data.dtype),
                      {static_cast<const std::byte*>(data.data), static_cast<size_t>(data.bytes())});
  state_->check(true, "write " + dataset.path + " in");
}

void H5Writer::State::store(const std::string& at, const std::string& name, int64_t type, const Handle& space,
                            const void* value) {
  if (at != object_path) {
    object_path = at;
    object = Handle(H5Oopen(file.id(), at.c_str(), H5P_DEFAULT), H5Oclose);
    check(object.valid(), "find " + at + " in");
  }
  const Handle attribute(H5Acreate2(object.id(), name.c_str(), type, space.id(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
  check(attribute.valid() && H5Awrite(attribute.id(), type, value) >= 0, "write the attribute " + name + " in");
}

void H5Writer::attribute(const std::string& path, const std::string& name, const std::string& value) {
  state_->begin();
  const Handle type(H5Tcopy(H5T_C_S1), H5Tclose);
  state_->check(H5Tset_size(type.id(), std::max<size_t>(value.size(), 1)) >= 0 &&
                    H5Tset_cset(type.id(), H5T_CSET_UTF8) >= 0 && H5Tset_strpad(type.id(), H5T_STR_NULLPAD) >= 0,
                "describe the attribute " + name + " in");
  const Handle space(H5Screate(H5S_SCALAR), H5Sclose);
  state_->store(path, name, type.id(), space, value.c_str());
}

void H5Writer::attribute(const std::string& path, const std::string& name, std::span<const int64_t> value) {
  state_->begin();
  const hsize_t count = value.size();
  const Handle space(H5Screate_simple(1, &count, nullptr), H5Sclose);
  const int64_t nothing = 0;  // HDF5 wants an address even for no values
  state_->store(path, name, H5T_STD_I64LE, space, value.empty() ? &nothing : value.data());
}

void H5Writer::finish() {
  state_->begin();
  state_->check(state_->object.close(), "close " + state_->object_path + " in");
  state_->check(H5Fflush(state_->file.id(), H5F_SCOPE_GLOBAL) >= 0, "write");
  state_->check(state_->file.close(), "close");
  // The file records its own length; opening it again proves that it was reached.
  const Handle access = state_->below.access(state_->path);
  const Handle again(H5Fopen(state_->path.c_str(), H5F_ACC_RDONLY, access.id()), H5Fclose);
  state_->check(again.valid(), "open what was written to");
}

}  // namespace trireme::runtime
