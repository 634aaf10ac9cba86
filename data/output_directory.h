// The directory that a `prepare` fills: one process at a time, and either a finished dataset or nothing of this run. It
// knows which names a run may leave there; it does not know what is in the files.
#pragma once

#include <string>

#include "runtime/file_lock.h"
#include "runtime/files.h"

namespace trireme::data {

/// Whether `path` holds a finished dataset. Needs no lock: dataset.json is the last file and appears at once. A `path`
/// that is a file, or a directory with files of others, is Error(usage).
bool holds_dataset(runtime::Files& files, const std::string& path);

/// Holds the directory's lock (prepare.lock) while it lives; the system releases it when the process dies.
class OutputDirectory {
 public:
  /// Makes the directory when it is missing. Another `prepare` at work there is Error(usage) that says which.
  OutputDirectory(runtime::Files& files, const std::string& path);
  /// Leaves no lock file, and after begin() without finish() nothing that was written. Silent: when the disk is in
  /// trouble, the error that came before is the one to tell.
  ~OutputDirectory();
  OutputDirectory(const OutputDirectory&) = delete;
  OutputDirectory& operator=(const OutputDirectory&) = delete;

  /// Removes what an interrupted run left. From here on what lies in the directory is this run's. Only for a directory
  /// without a finished dataset.
  void begin();
  /// What was written stays.
  void finish() { is_finished_ = true; }

 private:
  void remove_debris();
  void discard();

  runtime::Files& files_;
  std::string path_;
  bool is_new_;
  bool is_begun_ = false;
  bool is_finished_ = false;
  runtime::FileLock lock_;
};

}  // namespace trireme::data
