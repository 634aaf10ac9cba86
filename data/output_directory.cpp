#include "data/output_directory.h"

#include <algorithm>
#include <optional>
#include <utility>
#include <vector>

#include "data/dataset_manifest.h"
#include "data/prepare_journal.h"
#include "data/prepare_learned.h"
#include "data/split_writer.h"
#include "data/tokenizer_files.h"
#include "runtime/error.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;

namespace {

constexpr char kLockName[] = "prepare.lock";
const std::string kUnfinishedLearnedName = std::string(kLearnedName) + ".tmp";  // by write_text_atomically

runtime::FileLock make_and_lock(runtime::Files& files, const std::string& output) {
  files.make_directory(output);
  const std::string path = output + "/" + kLockName;
  std::optional<runtime::FileLock> lock = runtime::FileLock::try_lock(path);
  if (!lock.has_value()) {
    const std::string owner = runtime::FileLock::owner(path);
    throw Error(ErrorKind::usage, "--output " + output + " is being prepared by " +
                                      (owner.empty() ? "another process" : owner) +
                                      ": wait until it ends, or name another directory");
  }
  return std::move(*lock);
}

}  // namespace

bool holds_dataset(runtime::Files& files, const std::string& path) {
  if (!files.exists(path)) return false;
  if (!files.is_directory(path)) {
    throw Error(ErrorKind::usage, "--output " + path + " is a file: name a directory");
  }
  if (files.exists(manifest_path(path))) return true;
  for (const std::string& name : files.list(path)) {
    if (is_shard_file_name(name) || name == kLockName || name == kTokenizerFile) continue;  // `prepare` looks into that
    if (name == kLearnedName || name == kUnfinishedLearnedName) continue;
    throw Error(ErrorKind::usage,
                "--output " + path + " holds other files (" + name + "): name a new or empty directory");
  }
  return false;
}

void remove_work_files(runtime::Files& files, const std::string& path) {
  try {
    for (const std::string& name : files.list(path)) {
      if (is_work_file_name(name) || name == kLearnedName || name == kUnfinishedLearnedName)
        files.remove_all(path + "/" + name);
    }
  } catch (const Error&) {  // harmless, and the next `prepare` here tries again
  }
}

OutputDirectory::OutputDirectory(runtime::Files& files, const std::string& path)
    : files_(files), path_(path), is_new_(!files.exists(path)), lock_(make_and_lock(files, path)) {}

OutputDirectory::~OutputDirectory() {
  try {
    if (!is_finished_) discard();
  } catch (...) {  // the disk is in trouble
  }
  lock_.remove_file();
}

void OutputDirectory::begin(const std::vector<std::string>& keep) {
  is_begun_ = true;
  remove_debris(keep);
}

void OutputDirectory::finish() {
  is_finished_ = true;
  remove_work_files(files_, path_);
}

void OutputDirectory::forget() {
  files_.remove_all(path_ + "/" + kJournalName);
  remove_learned(files_, path_);
}

void OutputDirectory::remove_debris(const std::vector<std::string>& keep) {
  for (const std::string& name : files_.list(path_)) {
    const bool is_debris = is_shard_file_name(name) && std::ranges::find(keep, name) == keep.end();
    if (is_debris || name == kUnfinishedLearnedName) files_.remove_all(path_ + "/" + name);
  }
}

void OutputDirectory::discard() {
  if (has_journal(files_, path_)) return;
  if (is_begun_) {
    files_.remove_all(manifest_path(path_));
    remove_debris();
  }
  if (!holds_learned_tokenizer(files_, path_)) remove_learned(files_, path_);  // a record whose tokenizer failed
  // The lock file goes with the directory: removed before, another process could make its own in between.
  if (is_new_ && files_.list(path_) == std::vector<std::string>{kLockName}) files_.remove_all(path_);
}

}  // namespace trireme::data
