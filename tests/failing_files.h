// Files of which the n-th call fails, or is the last thing that the process does. On top of the real files or of a disk
// in memory (memory_files.h). For tests only.
#pragma once

#include <atomic>
#include <cerrno>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "runtime/error.h"
#include "runtime/files.h"

namespace trireme::tests {

enum class Fault {
  io_error,     ///< Error(io) with EIO's words; nothing was done
  no_space,     ///< Error(io) with ENOSPC's words; nothing was done
  short_write,  ///< ENOSPC after half of the bytes were written; on calls that write nothing the same as no_space
  die,          ///< the process dies before the call
  die_after,    ///< the process dies after it
};

/// Which calls fail, and how.
struct FaultPlan {
  int64_t call = -1;  ///< counted from 0; -1: none
  Fault fault = Fault::short_write;
  bool for_good = false;  ///< all calls from then on; death is always for good
};

/// Thrown by the call that a process dies in, and by all after it. No exception that anybody handles: a dead process
/// handles nothing.
struct ProcessDied {};

class FailingFiles : public runtime::Files {
 public:
  explicit FailingFiles(const FaultPlan& plan = {}, runtime::Files& below = runtime::real_files())
      : plan_(plan), below_(below) {}

  /// Called before each call that counts.
  virtual void before_call() {}

  /// So far. All but File::size_bytes and start_sync count; each entry that remove_all removes is a call, and each
  /// directory that make_directory makes.
  int64_t calls() const { return calls_; }
  /// "call 7, write RUN/a", the first that failed; empty: none has.
  const std::string& injected() const { return injected_; }

  std::unique_ptr<runtime::File> open(const std::string& path) override {
    return call("open", path, [&] { return wrap(path, below_.open(path)); });
  }
  std::unique_ptr<runtime::File> open_for_writing(const std::string& path) override {
    return call("open", path, [&] { return wrap(path, below_.open_for_writing(path)); });
  }
  std::unique_ptr<runtime::File> create(const std::string& path) override {
    return call("create", path, [&] { return wrap(path, below_.create(path)); });
  }
  bool exists(const std::string& path) override {
    return call("look at", path, [&] { return below_.exists(path); });
  }
  bool is_directory(const std::string& path) override {
    return call("look at", path, [&] { return below_.is_directory(path); });
  }
  bool is_regular_file(const std::string& path) override {
    return call("look at", path, [&] { return below_.is_regular_file(path); });
  }
  std::string real_path(const std::string& path) override {
    return call("find", path, [&] { return below_.real_path(path); });
  }
  std::vector<std::string> list(const std::string& directory) override {
    return call("list", directory, [&] { return below_.list(directory); });
  }
  void make_directory(const std::string& path) override {
    for (size_t end = path.find('/', 1); end < path.size() - 1; end = path.find('/', end + 1)) {
      if (!below_.is_directory(path.substr(0, end))) make_one(path.substr(0, end));
    }
    make_one(path);
  }
  void rename(const std::string& from, const std::string& to) override {
    call("rename", from, [&] { below_.rename(from, to); });
  }
  /// Links to directories are not expected here: it would remove what they point to.
  void remove_all(const std::string& path) override {
    if (below_.is_directory(path)) {
      for (const std::string& name : list(path)) remove_all(path + "/" + name);
    }
    call("remove", path, [&] { below_.remove_all(path); });
  }
  void sync_directory(const std::string& path) override {
    call("sync", path, [&] { below_.sync_directory(path); });
  }

 private:
  class FailingFile : public runtime::File {
   public:
    FailingFile(FailingFiles& files, std::string path, std::unique_ptr<runtime::File> below)
        : files_(files), path_(std::move(path)), below_(std::move(below)) {}
    int64_t size_bytes() override {
      if (files_.dead_) throw ProcessDied();
      return below_->size_bytes();
    }
    void read_at(int64_t offset, std::span<std::byte> bytes) override {
      files_.call("read", path_, [&] { below_->read_at(offset, bytes); });
    }
    void append(std::span<const std::byte> bytes) override {
      files_.call(
          "write", path_, [&] { below_->append(bytes); }, [&] { below_->append(bytes.first(bytes.size() / 2)); });
    }
    void write_at(int64_t offset, std::span<const std::byte> bytes) override {
      files_.call(
          "write", path_, [&] { below_->write_at(offset, bytes); },
          [&] { below_->write_at(offset, bytes.first(bytes.size() / 2)); });
    }
    void resize(int64_t bytes) override {
      files_.call("resize", path_, [&] { below_->resize(bytes); });
    }
    void start_sync() override {
      if (!files_.dead_) below_->start_sync();
    }
    void sync() override {
      files_.call("sync", path_, [&] { below_->sync(); });
    }

   private:
    FailingFiles& files_;
    std::string path_;
    std::unique_ptr<runtime::File> below_;
  };

  std::unique_ptr<runtime::File> wrap(const std::string& path, std::unique_ptr<runtime::File> file) {
    return std::make_unique<FailingFile>(*this, path, std::move(file));
  }

  void make_one(const std::string& path) {
    call("create the directory", path, [&] { below_.make_directory(path); });
  }

  /// One call: `act`, unless it is to fail; `half` is what a short write does of it.
  template <typename Act, typename Half>
  std::invoke_result_t<Act> call(const char* doing, const std::string& path, const Act& act, const Half& half) {
    before_call();
    const int64_t number = calls_++;
    if (dead_) throw ProcessDied();
    const bool fails = plan_.call >= 0 && (number == plan_.call || (plan_.for_good && number > plan_.call));
    if (!fails) return act();
    if (number == plan_.call) injected_ = "call " + std::to_string(number) + ", " + doing + " " + path;
    if (plan_.fault == Fault::die || plan_.fault == Fault::die_after) die(act);
    if (plan_.fault == Fault::short_write) half();
    throw runtime::Error(runtime::ErrorKind::io,
                         std::string("cannot ") + doing + " " + path + ": " +
                             runtime::system_message(plan_.fault == Fault::io_error ? EIO : ENOSPC));
  }
  template <typename Act>
  std::invoke_result_t<Act> call(const char* doing, const std::string& path, const Act& act) {
    return call(doing, path, act, [] {});
  }

  template <typename Act>
  [[noreturn]] void die(const Act& act) {
    dead_ = true;
    try {
      if (plan_.fault == Fault::die_after) act();
    } catch (const runtime::Error&) {  // nobody is left to be told
    }
    throw ProcessDied();
  }

  FaultPlan plan_;
  runtime::Files& below_;
  std::atomic<int64_t> calls_ = 0;
  std::atomic<bool> dead_ = false;
  std::string injected_;
};

}  // namespace trireme::tests
