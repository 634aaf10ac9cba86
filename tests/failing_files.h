// The real files, but the n-th access fails, and on request all that follow, as when the disk is gone for good. An
// append that fails has written half. What HDF5 writes does not pass here. For tests only.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "runtime/error.h"
#include "runtime/files.h"

namespace trireme::tests {

class FailingFiles : public runtime::Files {
 public:
  /// Accesses are counted from 0.
  FailingFiles(int64_t fail_at, bool for_good) : fail_at_(fail_at), for_good_(for_good) {}

  int64_t accesses() const { return accesses_; }

  std::unique_ptr<runtime::File> open(const std::string& path) override {
    access(path);
    return std::make_unique<FailingFile>(*this, path, real_.open(path));
  }
  std::unique_ptr<runtime::File> create(const std::string& path) override {
    access(path);
    return std::make_unique<FailingFile>(*this, path, real_.create(path));
  }
  bool exists(const std::string& path) override {
    access(path);
    return real_.exists(path);
  }
  bool is_directory(const std::string& path) override {
    access(path);
    return real_.is_directory(path);
  }
  bool is_regular_file(const std::string& path) override {
    access(path);
    return real_.is_regular_file(path);
  }
  std::string real_path(const std::string& path) override {
    access(path);
    return real_.real_path(path);
  }
  std::vector<std::string> list(const std::string& directory) override {
    access(directory);
    return real_.list(directory);
  }
  void make_directory(const std::string& path) override {
    access(path);
    real_.make_directory(path);
  }
  void rename(const std::string& from, const std::string& to) override {
    access(from);
    real_.rename(from, to);
  }
  void remove_all(const std::string& path) override {
    access(path);
    real_.remove_all(path);
  }
  void sync_directory(const std::string& path) override {
    access(path);
    real_.sync_directory(path);
  }

 private:
  class FailingFile : public runtime::File {
   public:
    FailingFile(FailingFiles& files, std::string path, std::unique_ptr<runtime::File> real)
        : files_(files), path_(std::move(path)), real_(std::move(real)) {}
    int64_t size_bytes() override { return real_->size_bytes(); }
    void read_at(int64_t offset, std::span<std::byte> bytes) override {
      files_.access(path_);
      real_->read_at(offset, bytes);
    }
    void append(std::span<const std::byte> bytes) override {
      try {
        files_.access(path_);
      } catch (const runtime::Error&) {
        real_->append(bytes.first(bytes.size() / 2));
        throw;
      }
      real_->append(bytes);
    }
    void sync() override {
      files_.access(path_);
      real_->sync();
    }

   private:
    FailingFiles& files_;
    std::string path_;
    std::unique_ptr<runtime::File> real_;
  };

  void access(const std::string& path) {
    const int64_t number = accesses_++;
    if (number != fail_at_ && !(for_good_ && number > fail_at_)) return;
    throw runtime::Error(runtime::ErrorKind::io, "access " + std::to_string(number) + " to " + path + " fails");
  }

  runtime::Files& real_ = runtime::real_files();
  int64_t fail_at_;
  bool for_good_;
  int64_t accesses_ = 0;
};

}  // namespace trireme::tests
