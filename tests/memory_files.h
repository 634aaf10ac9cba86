// A disk in memory that knows what would survive a loss of power: the content of a file as of its last sync, the
// entries of a directory as of its last sync_directory; make_directory is durable as files.h says. Errors are worded as
// those of the real files. It fails by itself only where they would: faults come from failing_files.h on top. Paths are
// taken from one root, with or without a leading "/"; there are no links. For tests only.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/files.h"

namespace trireme::tests {

/// What is left when everything stops.
enum class Crash {
  process_death,  ///< all that was written; what was not synced is still at risk
  power_loss,     ///< only what was synced; a file that never was is empty
  /// Each change of a directory that was not synced (a creation, a removal, a rename as a whole) kept or not; each
  /// file's content that was not synced kept, dropped, cut or zeroed in part. All independent of each other. Of a
  /// rename between two directories a sync of one makes sure of what changed in that one alone.
  power_loss_mixed,
};

class MemoryFiles : public runtime::Files {
 public:
  MemoryFiles();
  ~MemoryFiles() override;

  /// The disk that a crash at this moment leaves; this one stays as it is.
  std::unique_ptr<MemoryFiles> after(Crash crash, uint64_t seed = 0);
  /// Another such disk, durable or not as here: where many trials begin.
  std::unique_ptr<MemoryFiles> copy() { return after(Crash::process_death); }

  std::unique_ptr<runtime::File> open(const std::string& path) override;
  std::unique_ptr<runtime::File> open_for_writing(const std::string& path) override;
  std::unique_ptr<runtime::File> create(const std::string& path) override;
  bool exists(const std::string& path) override;
  bool is_directory(const std::string& path) override;
  bool is_regular_file(const std::string& path) override;
  std::string real_path(const std::string& path) override;
  std::vector<std::string> list(const std::string& directory) override;
  void make_directory(const std::string& path) override;
  void rename(const std::string& from, const std::string& to) override;
  void remove_all(const std::string& path) override;
  void sync_directory(const std::string& path) override;

 private:
  struct Node;
  struct Place;
  class OpenFile;
  struct Survivors;

  std::unique_ptr<runtime::File> open_existing(const std::string& path, bool is_writable);

  std::shared_ptr<Node> find(const std::string& path) const;
  std::shared_ptr<Node> directory(const std::string& path, const char* doing) const;
  /// An error says that it cannot be done to `named`.
  Place place_of(const std::string& path, const char* doing, const std::string& named) const;

  mutable std::mutex mutex_;  ///< held by every call, those of open files included
  std::shared_ptr<Node> root_;
  uint64_t renames_ = 0;  ///< between two directories
};

}  // namespace trireme::tests
