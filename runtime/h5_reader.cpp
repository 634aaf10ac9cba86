#include <hdf5.h>

#include <algorithm>
#include <array>

#include "runtime/h5.h"
#include "runtime/h5_driver.h"
#include "runtime/h5_handle.h"

namespace trireme::runtime {

using h5::Handle;

struct H5Reader::State {
  State(Files& files, const std::string& its_path) : path(its_path), below(files.open(its_path)) {}

  std::string path;
  h5::DrivenFile below;
  Handle file;

  /// After each call of HDF5 that reads. Throws what the disk said, else, where HDF5 did not work, HDF5's own reason.
  void check(bool worked, const std::string& doing) const {
    below.check();
    if (!worked) throw h5::failure(doing, path, ErrorKind::data);
  }
  Error bad(const std::string& what) const { return {ErrorKind::data, path + ": " + what}; }
  Handle open_attribute(const std::string& object, const std::string& name) const {
    Handle attribute(H5Aopen_by_name(file.id(), object.c_str(), name.c_str(), H5P_DEFAULT, H5P_DEFAULT), H5Aclose);
    check(attribute.valid(), "read the attribute " + name + " of " + object + " in");
    return attribute;
  }
};

H5Reader::H5Reader(Files& files, const std::string& path) : state_(std::make_unique<State>(files, path)) {
  h5::prepare_thread();
  const Handle access = state_->below.access(path);
  state_->file = Handle(H5Fopen(path.c_str(), H5F_ACC_RDONLY, access.id()), H5Fclose);
  state_->check(state_->file.valid(), "open");
}

H5Reader::~H5Reader() {
  h5::prepare_thread();
}

H5Dataset H5Reader::dataset(const std::string& path) {
  h5::prepare_thread();
  const Handle dataset(H5Dopen2(state_->file.id(), path.c_str(), H5P_DEFAULT), H5Dclose);
  state_->check(dataset.valid(), "find " + path + " in");
  const Handle space(H5Dget_space(dataset.id()), H5Sclose);
  const Handle type(H5Dget_type(dataset.id()), H5Tclose);
  const Handle creation(H5Dget_create_plist(dataset.id()), H5Pclose);
  state_->check(space.valid() && type.valid() && creation.valid(), "describe " + path + " in");
  if (H5Pget_layout(creation.id()) != H5D_CONTIGUOUS) throw state_->bad(path + " is not stored contiguously");

  H5Dataset result;
  result.path = path;
  constexpr std::array kDTypes = {DType::u8, DType::u16, DType::i32, DType::i64, DType::bf16, DType::fp32, DType::fp64};
  const auto* dtype = std::ranges::find_if(kDTypes, [&](DType d) { return H5Tequal(type.id(), h5::type_of(d)) > 0; });
  if (dtype == kDTypes.end()) throw state_->bad(path + " has a type of elements that is not known here");
  result.dtype = *dtype;

  std::vector<hsize_t> sizes(static_cast<size_t>(std::max(H5Sget_simple_extent_ndims(space.id()), 0)));
  state_->check(sizes.empty() || H5Sget_simple_extent_dims(space.id(), sizes.data(), nullptr) >= 0,
                "read the shape of " + path + " in");
  result.shape.assign(sizes.begin(), sizes.end());
  if (const haddr_t offset = H5Dget_offset(dataset.id()); offset != HADDR_UNDEF) {
    result.offset_bytes = static_cast<int64_t>(offset);
  } else if (std::ranges::find(sizes, hsize_t{0}) == sizes.end()) {
    throw state_->bad(path + " has no place in the file");
  }
  return result;
}

bool H5Reader::has_attribute(const std::string& path, const std::string& name) {
  h5::prepare_thread();
  const htri_t found = H5Aexists_by_name(state_->file.id(), path.c_str(), name.c_str(), H5P_DEFAULT);
  state_->check(found >= 0, "look for the attribute " + name + " of " + path + " in");
  return found > 0;
}

std::string H5Reader::text_attribute(const std::string& path, const std::string& name) {
  h5::prepare_thread();
  const Handle attribute = state_->open_attribute(path, name);
  const Handle type(H5Aget_type(attribute.id()), H5Tclose);
  if (H5Tget_class(type.id()) != H5T_STRING || H5Tis_variable_str(type.id()) != 0) {
    throw state_->bad("the attribute " + name + " of " + path + " is not a text of fixed length");
  }
  std::string text(H5Tget_size(type.id()), '\0');
  state_->check(H5Aread(attribute.id(), type.id(), text.data()) >= 0,
                "read the attribute " + name + " of " + path + " in");
  text.erase(std::find(text.begin(), text.end(), '\0'), text.end());  // padding
  return text;
}

std::vector<int64_t> H5Reader::integer_attribute(const std::string& path, const std::string& name) {
  h5::prepare_thread();
  const Handle attribute = state_->open_attribute(path, name);
  const Handle type(H5Aget_type(attribute.id()), H5Tclose);
  const Handle space(H5Aget_space(attribute.id()), H5Sclose);
  const hssize_t count = H5Sget_simple_extent_npoints(space.id());
  if (H5Tget_class(type.id()) != H5T_INTEGER || count < 0) {
    throw state_->bad("the attribute " + name + " of " + path + " does not hold integers");
  }
  std::vector<int64_t> values(static_cast<size_t>(count));
  state_->check(count == 0 || H5Aread(attribute.id(), H5T_NATIVE_INT64, values.data()) >= 0,
                "read the attribute " + name + " of " + path + " in");
  return values;
}

}  // namespace trireme::runtime
