// An exclusive lock on a file, for what only one process may do at a time. The system drops it when its owner ends,
// however that happens, so a file without an owner is no lock. It does not wait, and it is advice: only who asks is
// kept out. Processes on one machine always see each other's; across machines the file system decides.
#pragma once

#include <optional>
#include <string>

namespace trireme::runtime {

class FileLock {
 public:
  /// Takes the lock and writes `owner_text` (one line) into the file, which is made when it is missing. nullopt when
  /// another owner has it, in this process too. A file that cannot be made or locked is Error(io).
  static std::optional<FileLock> try_lock(const std::string& path, const std::string& owner_text = this_process());

  /// What the owner wrote, "" when that cannot be read. For the message of who did not get the lock.
  static std::string owner(const std::string& path);
  /// "process 1234 on HOST".
  static std::string this_process();

  /// Releases the lock. The file stays, and does no harm.
  ~FileLock();
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  FileLock(const FileLock&) = delete;
  FileLock& operator=(const FileLock&) = delete;

  /// Removes the file, for whom it would be in the way; the lock is released only by the destructor. A file that is
  /// gone already, or cannot be removed, is left as it is.
  void remove_file();

 private:
  FileLock(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}

  std::string path_;
  int descriptor_ = -1;  // -1: moved from
};

}  // namespace trireme::runtime
