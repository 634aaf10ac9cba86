#include "runtime/h5_handle.h"

#include <hdf5.h>

#include <string>
#include <string_view>
#include <type_traits>
#include <vector>

namespace trireme::runtime::h5 {

static_assert(std::is_same_v<hid_t, int64_t> && std::is_same_v<herr_t, int>, "h5_handle.h names these types plainly");

namespace {

herr_t collect(unsigned, const H5E_error2_t* entry, void* descriptions) {
  if (entry->desc != nullptr) static_cast<std::vector<std::string>*>(descriptions)->emplace_back(entry->desc);
  return 0;
}

// "file write failed: ..., error message = 'No space left on device', buf = 0x..." -> the words between the quotes.
std::string system_words(const std::string& description) {
  constexpr std::string_view kBefore = "error message = '";
  const size_t begin = description.find(kBefore);
  if (begin == std::string::npos) return "";
  const size_t end = description.find('\'', begin + kBefore.size());
  return description.substr(begin + kBefore.size(), end - begin - kBefore.size());
}

}  // namespace

void prepare_thread() {
  static const bool kOnce = [] {
    H5dont_atexit();
    return true;
  }();
  static_cast<void>(kOnce);
  H5Eset_auto2(H5E_DEFAULT, nullptr, nullptr);
}

Error failure(const std::string& doing, const std::string& path, ErrorKind otherwise) {
  std::vector<std::string> descriptions;  // innermost first
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, collect, &descriptions);
  H5Eclear2(H5E_DEFAULT);
  const std::string start = "cannot " + doing + " " + path + ": ";
  for (const std::string& description : descriptions) {
    if (const std::string words = system_words(description); !words.empty()) return {ErrorKind::io, start + words};
  }
  return {otherwise, start + "HDF5: " + (descriptions.empty() ? "no reason given" : descriptions.front())};
}

int64_t type_of(DType dtype) {
  switch (dtype) {
    case DType::u8:
      return H5T_STD_U8LE;
    case DType::u16:
      return H5T_STD_U16LE;
    case DType::i32:
      return H5T_STD_I32LE;
    case DType::i64:
      return H5T_STD_I64LE;
    case DType::bf16:
      break;  // HDF5 has no such type of its own, and files hold the fp32 masters
    case DType::fp32:
      return H5T_IEEE_F32LE;
    case DType::fp64:
      return H5T_IEEE_F64LE;
  }
  throw Error(ErrorKind::internal, "no HDF5 type for " + std::string(name(dtype)));
}

Handle file_access(const std::string& path) {
  Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  // Every object at a multiple of 64 bytes, so that a mapped dataset is aligned for any dtype and for the CPU's cache
  // lines; no shared block of small datasets, which would undo it.
  if (!access.valid() || H5Pset_libver_bounds(access.id(), H5F_LIBVER_V18, H5F_LIBVER_V110) < 0 ||
      H5Pset_fclose_degree(access.id(), H5F_CLOSE_SEMI) < 0 || H5Pset_file_locking(access.id(), false, true) < 0 ||
      H5Pset_alignment(access.id(), 1, 64) < 0 || H5Pset_small_data_block_size(access.id(), 0) < 0) {
    throw failure("prepare HDF5 for", path, ErrorKind::internal);
  }
  return access;
}

}  // namespace trireme::runtime::h5
