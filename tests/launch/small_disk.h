// A file system of its own with a size, in memory, for tests of full and read-only disks. Only root can mount one, and
// not in every container. It is seen by this process and its children alone, and gone with them.
#pragma once

#include <sched.h>
#include <sys/mount.h>

#include <filesystem>
#include <memory>
#include <string>

namespace trireme::tests {

class SmallDisk {
 public:
  /// Mounted on `path`, which is made; null where this process may not.
  static std::unique_ptr<SmallDisk> mounted(const std::string& path, int kilobytes) {
    static const bool is_private =
        unshare(CLONE_NEWNS) == 0 && mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0;
    std::filesystem::create_directory(path);
    if (!is_private || mount("tmpfs", path.c_str(), "tmpfs", 0, size_text(kilobytes).c_str()) != 0) return nullptr;
    return std::unique_ptr<SmallDisk>(new SmallDisk(path));
  }
  ~SmallDisk() { umount2(path_.c_str(), MNT_DETACH); }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool resize(int kilobytes) {
    return mount(nullptr, path_.c_str(), nullptr, MS_REMOUNT, size_text(kilobytes).c_str()) == 0;
  }
  /// While nobody has a file of it open for writing.
  bool make_read_only() { return mount(nullptr, path_.c_str(), nullptr, MS_REMOUNT | MS_RDONLY, nullptr) == 0; }
  bool make_writable() { return mount(nullptr, path_.c_str(), nullptr, MS_REMOUNT, nullptr) == 0; }

 private:
  explicit SmallDisk(std::string path) : path_(std::move(path)) {}
  static std::string size_text(int kilobytes) { return "size=" + std::to_string(kilobytes) + "k"; }

  std::string path_;
};

}  // namespace trireme::tests
