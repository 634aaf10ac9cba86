// The directory that a `prepare` fills: one process at a time, and in the end a finished dataset, or work that a later
// run can go on with, or nothing. It knows which names a run may leave there; it does not know what is in the files.
#pragma once

#include <string>
#include <vector>

#include "runtime/file_lock.h"
#include "runtime/files.h"

namespace trireme::data {

/// Whether `path` holds a finished dataset. Needs no lock: dataset.json is the last file and appears at once. A `path`
/// that is a file, or a directory with files of others, is Error(usage).
bool holds_dataset(runtime::Files& files, const std::string& path);

/// Removes what a finished dataset has no use for: a `prepare` that is killed just before its end leaves it. Silent
/// when it cannot: the dataset may lie where nobody may write.
void remove_work_files(runtime::Files& files, const std::string& path);

/// Holds the directory's lock (prepare.lock) while it lives; the system releases it when the process dies.
class OutputDirectory {
 public:
  /// Makes the directory when it is missing. Another `prepare` at work there is Error(usage) that says which.
  OutputDirectory(runtime::Files& files, const std::string& path);
  /// Leaves no lock file, and after begin() without finish() nothing that was written, unless there is a journal: then
  /// another run can go on. Silent: when the disk is in trouble, the error that came before is the one to tell.
  ~OutputDirectory();
  OutputDirectory(const OutputDirectory&) = delete;
  OutputDirectory& operator=(const OutputDirectory&) = delete;

  /// Removes what an interrupted run left, but for the files named `keep`. From here on what lies in the directory is
  /// this run's. Only for a directory without a finished dataset.
  void begin(const std::vector<std::string>& keep = {});
  /// The dataset is complete: it stays, the work files go.
  void finish();
  /// Nobody shall go on with this run's work.
  void forget();

 private:
  void remove_debris(const std::vector<std::string>& keep = {});
  void discard();

  runtime::Files& files_;
  std::string path_;
  bool is_new_;
  bool is_begun_ = false;
  bool is_finished_ = false;
  runtime::FileLock lock_;
};

}  // namespace trireme::data
