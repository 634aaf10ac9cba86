#include "runtime/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <optional>
#include <utility>

#include "runtime/error.h"

namespace trireme::runtime {
namespace {

namespace fs = std::filesystem;

Error io_error(const std::string& doing, const std::string& path, int error_number) {
  return {ErrorKind::io, "cannot " + doing + " " + path + ": " + system_message(error_number)};
}

class RealFile : public File {
 public:
  RealFile(std::string path, int descriptor) : path_(std::move(path)), descriptor_(descriptor) {}
  ~RealFile() override { ::close(descriptor_); }
  RealFile(const RealFile&) = delete;
  RealFile& operator=(const RealFile&) = delete;

  int64_t size_bytes() override {
    struct stat status {};
    if (::fstat(descriptor_, &status) != 0) throw io_error("look at", path_, errno);
    return status.st_size;
  }

  void read_at(int64_t offset, std::span<std::byte> bytes) override {
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t count =
          ::pread(descriptor_, bytes.data() + done, bytes.size() - done, offset + static_cast<int64_t>(done));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) throw io_error("read", path_, errno);
      if (count == 0) {
        throw Error(ErrorKind::data, path_ + " ends after " + std::to_string(size_bytes()) + " bytes; bytes up to " +
                                         std::to_string(offset + static_cast<int64_t>(bytes.size())) +
                                         " were expected");
      }
      done += static_cast<size_t>(count);
    }
  }

  void append(std::span<const std::byte> bytes) override { write_at(size_bytes(), bytes); }

  void write_at(int64_t offset, std::span<const std::byte> bytes) override {
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t count =
          ::pwrite(descriptor_, bytes.data() + done, bytes.size() - done, offset + static_cast<int64_t>(done));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) throw io_error("write", path_, errno);
      done += static_cast<size_t>(count);
    }
  }

  void resize(int64_t bytes) override {
    if (::ftruncate(descriptor_, bytes) != 0) throw io_error("resize", path_, errno);
  }

  void start_sync() override { ::sync_file_range(descriptor_, 0, 0, SYNC_FILE_RANGE_WRITE); }

  void sync() override {
    if (::fsync(descriptor_) != 0) throw io_error("sync", path_, errno);
  }

 private:
  std::string path_;
  int descriptor_;
};

std::unique_ptr<File> open_file(const std::string& doing, const std::string& path, int flags) {
  const int descriptor = ::open(path.c_str(), flags | O_CLOEXEC, 0666);
  if (descriptor < 0) throw io_error(doing, path, errno);
  return std::make_unique<RealFile>(path, descriptor);
}

// Nothing when the path is not there. Only two answers of the system say so: with any other a file that is there would
// be taken for missing.
std::optional<mode_t> mode_of(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) == 0) return status.st_mode;
  if (errno == ENOENT || errno == ENOTDIR) return std::nullopt;
  throw io_error("look at", path, errno);
}

class RealFiles : public Files {
 public:
  std::unique_ptr<File> open(const std::string& path) override { return open_file("open", path, O_RDONLY); }

  std::unique_ptr<File> open_for_writing(const std::string& path) override { return open_file("open", path, O_RDWR); }

  std::unique_ptr<File> create(const std::string& path) override {
    return open_file("create", path, O_RDWR | O_CREAT | O_EXCL);
  }

  bool exists(const std::string& path) override { return mode_of(path).has_value(); }

  bool is_directory(const std::string& path) override {
    const std::optional<mode_t> mode = mode_of(path);
    return mode && S_ISDIR(*mode);
  }

  bool is_regular_file(const std::string& path) override {
    const std::optional<mode_t> mode = mode_of(path);
    return mode && S_ISREG(*mode);
  }

  std::string real_path(const std::string& path) override {
    std::error_code failure;
    const fs::path real = fs::canonical(path, failure);
    if (failure) throw io_error("find", path, failure.value());
    return real.string();
  }

  std::vector<std::string> list(const std::string& directory) override {
    std::vector<std::string> names;
    std::error_code failure;
    for (fs::directory_iterator entry(directory, failure), end; !failure && entry != end; entry.increment(failure)) {
      names.push_back(entry->path().filename().string());
    }
    if (failure) throw io_error("list", directory, failure.value());
    std::ranges::sort(names);
    return names;
  }

  void make_directory(const std::string& path) override {
    fs::path made;
    for (const fs::path& part : fs::path(path)) {
      const fs::path parent = made.empty() ? "." : made;
      made /= part;
      if (part.empty() || is_directory(made.string())) continue;
      if (::mkdir(made.c_str(), 0777) == 0) {
        sync_directory(parent.string());
      } else if (const int reason = errno; !is_directory(made.string())) {  // else another process made it just now
        throw io_error("create the directory", path, reason == EEXIST ? ENOTDIR : reason);
      }
    }
  }

  void rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) throw io_error("rename " + from + " to", to, errno);
  }

  void remove_all(const std::string& path) override {
    std::error_code failure;
    fs::remove_all(path, failure);
    if (failure) throw io_error("remove", path, failure.value());
  }

  void sync_directory(const std::string& path) override {
    open_file("open the directory", path, O_RDONLY | O_DIRECTORY)->sync();
  }
};

}  // namespace

Files& real_files() {
  static RealFiles files;  // no state: the operating system is the only one there is
  return files;
}

std::string parent_directory(const std::string& path) {
  fs::path named(path);
  if (!named.has_filename()) named = named.parent_path();  // "a/b/"
  const std::string parent = named.parent_path().string();
  return parent.empty() ? "." : parent;
}

std::string read_text(Files& files, const std::string& path) {
  const std::unique_ptr<File> file = files.open(path);
  std::string text(static_cast<size_t>(file->size_bytes()), '\0');
  file->read_at(0, std::as_writable_bytes(std::span(text)));
  return text;
}

void write_text_atomically(Files& files, const std::string& path, std::string_view text) {
  const std::string temporary = path + ".tmp";
  files.remove_all(temporary);  // debris of a writer that died
  {
    const std::unique_ptr<File> file = files.create(temporary);
    file->append(std::as_bytes(std::span(text)));
    file->sync();
  }
  files.rename(temporary, path);
  files.sync_directory(parent_directory(path));
}

}  // namespace trireme::runtime
