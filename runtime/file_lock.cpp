#include "runtime/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "runtime/error.h"
#include "runtime/host_name.h"

namespace trireme::runtime {
namespace {

constexpr size_t kMostOwnerBytes = 256;

Error io_error(const std::string& doing, const std::string& path, int error_number) {
  return {ErrorKind::io, "cannot " + doing + " " + path + ": " + system_message(error_number)};
}

/// Whether `path` still names the open file: its owner may have removed it, and another may have made a new one.
bool names(const std::string& path, int descriptor) {
  struct stat open_file {};
  struct stat named_file {};
  return ::fstat(descriptor, &open_file) == 0 && ::stat(path.c_str(), &named_file) == 0 &&
         open_file.st_dev == named_file.st_dev && open_file.st_ino == named_file.st_ino;
}

bool lock(const std::string& path, int descriptor) {
  while (::flock(descriptor, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return false;
    if (errno != EINTR) throw io_error("lock", path, errno);
  }
  return true;
}

/// The lock counts without the text, so a full disk is not our business here.
void write_owner(int descriptor, const std::string& owner_text) {
  const std::string line = owner_text.substr(0, kMostOwnerBytes - 1) + "\n";
  if (::ftruncate(descriptor, 0) != 0) return;
  if (::pwrite(descriptor, line.data(), line.size(), 0) < 0) return;
}

}  // namespace

std::optional<FileLock> FileLock::try_lock(const std::string& path, const std::string& owner_text) {
  for (;;) {
    const int descriptor = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0666);
    if (descriptor < 0) throw io_error("open", path, errno);
    FileLock taken(path, descriptor);
    if (!lock(path, descriptor)) return std::nullopt;
    // A file that was removed between open and lock keeps out nobody who comes later: try the new one.
    if (!names(path, descriptor)) continue;
    write_owner(descriptor, owner_text);
    return taken;
  }
}

std::string FileLock::owner(const std::string& path) {
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) return "";
  std::array<char, kMostOwnerBytes> bytes{};
  const ssize_t count = ::read(descriptor, bytes.data(), bytes.size());
  ::close(descriptor);
  const std::string text(bytes.data(), count > 0 ? static_cast<size_t>(count) : 0);
  return text.substr(0, text.find('\n'));
}

std::string FileLock::this_process() {
  return "process " + std::to_string(::getpid()) + " on " + host_name();
}

FileLock::~FileLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

FileLock::FileLock(FileLock&& other) noexcept
    : path_(std::move(other.path_)), descriptor_(std::exchange(other.descriptor_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  FileLock taken(std::move(other));
  std::swap(path_, taken.path_);
  std::swap(descriptor_, taken.descriptor_);
  return *this;  // what this had before is released with `taken`
}

void FileLock::remove_file() {
  // Only an owner removes the file, so what is ours now is ours when it is unlinked.
  if (descriptor_ >= 0 && names(path_, descriptor_)) ::unlink(path_.c_str());
}

}  // namespace trireme::runtime
