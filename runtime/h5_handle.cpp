#include "runtime/h5_handle.h"

#include <hdf5.h>

#include <string>
#include <type_traits>
#include <vector>

namespace trireme::runtime::h5 {

static_assert(std::is_same_v<hid_t, int64_t> && std::is_same_v<herr_t, int>, "h5_handle.h names these types plainly");

namespace {

/// No exception may pass through HDF5, which is C: what memory there is not for is not told.
herr_t collect(unsigned, const H5E_error2_t* entry, void* descriptions) noexcept {
  try {
    if (entry->desc != nullptr) static_cast<std::vector<std::string>*>(descriptions)->emplace_back(entry->desc);
    return 0;
  } catch (...) {
    return -1;
  }
}

/// The upper half of an IEEE single, which HDF5 1.10 has no name for: sign at bit 15, 8 bits of exponent from bit 7 on
/// with a bias of 127, 7 bits of mantissa. Its tools show true values of it. It lives as long as the process.
hid_t bf16_type() {
  static const hid_t type = [] {
    const hid_t made = H5Tcopy(H5T_IEEE_F32LE);
    const bool is_set = H5Tset_fields(made, 15, 7, 8, 0, 7) >= 0 && H5Tset_precision(made, 16) >= 0 &&
                        H5Tset_size(made, 2) >= 0 && H5Tset_ebias(made, 127) >= 0;
    if (!is_set) throw Error(ErrorKind::internal, "HDF5 takes no type for bf16");
    return made;
  }();
  return type;
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

Error failure(const std::string& doing, const std::string& path, ErrorKind kind) {
  std::vector<std::string> descriptions;  // innermost first
  H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, collect, &descriptions);
  H5Eclear2(H5E_DEFAULT);
  return {kind, "cannot " + doing + " " + path +
                    ": HDF5: " + (descriptions.empty() ? "no reason given" : descriptions.front())};
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
      return bf16_type();
    case DType::fp32:
      return H5T_IEEE_F32LE;
    case DType::fp64:
      return H5T_IEEE_F64LE;
  }
  throw Error(ErrorKind::internal, "no HDF5 type for " + std::string(name(dtype)));
}

}  // namespace trireme::runtime::h5
