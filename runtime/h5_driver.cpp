#include "runtime/h5_driver.h"

#include <hdf5.h>

#include <algorithm>
#include <new>

#include "runtime/error.h"

namespace trireme::runtime::h5 {
namespace {

/// What HDF5 holds for a file that it has open; its own part comes first, so that a pointer to that is one to this.
struct Opened {
  H5FD_t base{};
  DrivenFile* file = nullptr;
  haddr_t end_of_allocation = 0;
};

Opened& opened(H5FD_t* base) {
  return *reinterpret_cast<Opened*>(base);
}

const Opened& opened(const H5FD_t* base) {
  return *reinterpret_cast<const Opened*>(base);
}

// The file is open already; the property list brings its address.
H5FD_t* open(const char* /*name*/, unsigned /*flags*/, hid_t access, haddr_t /*largest*/) {
  const void* information = H5Pget_driver_info(access);
  auto* made = information == nullptr ? nullptr : new (std::nothrow) Opened;
  if (made == nullptr) return nullptr;
  made->file = *static_cast<DrivenFile* const*>(information);
  return &made->base;
}

herr_t close(H5FD_t* base) {
  delete &opened(base);
  return 0;
}

// As HDF5's own driver for POSIX files, so that the bytes are the same: metadata is laid out and written in blocks.
herr_t query(const H5FD_t* /*base*/, unsigned long* features) {
  *features = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
              H5FD_FEAT_AGGREGATE_SMALLDATA | H5FD_FEAT_DEFAULT_VFD_COMPATIBLE;
  return 0;
}

haddr_t end_of_allocation(const H5FD_t* base, H5FD_mem_t /*type*/) {
  return opened(base).end_of_allocation;
}

herr_t set_end_of_allocation(H5FD_t* base, H5FD_mem_t /*type*/, haddr_t address) {
  opened(base).end_of_allocation = address;
  return 0;
}

haddr_t end_of_file(const H5FD_t* base, H5FD_mem_t /*type*/) {
  return static_cast<haddr_t>(opened(base).file->end_bytes());
}

herr_t read(H5FD_t* base, H5FD_mem_t /*type*/, hid_t /*transfer*/, haddr_t address, size_t bytes, void* buffer) {
  const std::span<std::byte> span(static_cast<std::byte*>(buffer), bytes);
  return opened(base).file->read(static_cast<int64_t>(address), span) ? 0 : -1;
}

herr_t write(H5FD_t* base, H5FD_mem_t /*type*/, hid_t /*transfer*/, haddr_t address, size_t bytes, const void* buffer) {
  opened(base).file->write(static_cast<int64_t>(address), {static_cast<const std::byte*>(buffer), bytes});
  return 0;
}

// Before it closes a file, HDF5 asks for the length that it records in it.
herr_t truncate(H5FD_t* base, hid_t /*transfer*/, hbool_t /*closing*/) {
  const Opened& of = opened(base);
  const auto wanted_bytes = static_cast<int64_t>(of.end_of_allocation);
  if (wanted_bytes != of.file->end_bytes()) of.file->resize(wanted_bytes);
  return 0;
}

// Members that are not named are null: HDF5 then does without, or does its own. Without cmp it takes no two files for
// the same one.
const H5FD_class_t kDriver = {.name = "trireme",
                              .maxaddr = (haddr_t{1} << 63) - 1,
                              .fc_degree = H5F_CLOSE_SEMI,
                              .fapl_size = sizeof(DrivenFile*),
                              .open = open,
                              .close = close,
                              .query = query,
                              .get_eoa = end_of_allocation,
                              .set_eoa = set_end_of_allocation,
                              .get_eof = end_of_file,
                              .read = read,
                              .write = write,
                              .truncate = truncate,
                              .fl_map = H5FD_FLMAP_DICHOTOMY};

hid_t driver() {
  static const hid_t kId = H5FDregister(&kDriver);  // for the life of the program
  return kId;
}

}  // namespace

Handle DrivenFile::access(const std::string& path) {
  Handle list(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
  DrivenFile* self = this;
  // Every object at a multiple of 64 bytes, so that a mapped dataset is aligned for any dtype and for the CPU's cache
  // lines; no shared block of small datasets, which would undo it.
  if (!list.valid() || H5Pset_driver(list.id(), driver(), &self) < 0 ||
      H5Pset_libver_bounds(list.id(), H5F_LIBVER_V18, H5F_LIBVER_V110) < 0 ||
      H5Pset_fclose_degree(list.id(), H5F_CLOSE_SEMI) < 0 || H5Pset_file_locking(list.id(), false, true) < 0 ||
      H5Pset_alignment(list.id(), 1, 64) < 0 || H5Pset_small_data_block_size(list.id(), 0) < 0) {
    throw failure("prepare HDF5 for", path, ErrorKind::internal);
  }
  return list;
}

void DrivenFile::check() const {
  if (!failure_) return;
  H5Eclear2(H5E_DEFAULT);
  std::rethrow_exception(failure_);
}

bool DrivenFile::read(int64_t offset, std::span<std::byte> bytes) {
  if (failed()) return false;
  const auto there = static_cast<size_t>(std::clamp<int64_t>(end_bytes_ - offset, 0, std::ssize(bytes)));
  std::ranges::fill(bytes.subspan(there), std::byte{0});
  try {
    if (there > 0) file_->read_at(offset, bytes.first(there));
  } catch (...) {
    failure_ = std::current_exception();
  }
  return !failed();
}

void DrivenFile::write(int64_t offset, std::span<const std::byte> bytes) {
  if (!writable()) return;
  try {
    file_->write_at(offset, bytes);
    end_bytes_ = std::max(end_bytes_, offset + std::ssize(bytes));
  } catch (...) {
    failure_ = std::current_exception();
  }
}

void DrivenFile::resize(int64_t bytes) {
  if (!writable()) return;
  try {
    file_->resize(bytes);
    end_bytes_ = bytes;
  } catch (...) {
    failure_ = std::current_exception();
  }
}

}  // namespace trireme::runtime::h5
