#include "runtime/file_lock.h"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <filesystem>

#include "runtime/error.h"
#include "tests/temporary_directory.h"

namespace trireme::runtime {
namespace {

/// A child process that takes the lock, says whether it got it, and sleeps until it is killed.
class LockingChild {
 public:
  explicit LockingChild(const std::string& path) {
    std::array<int, 2> pipe_ends{};
    EXPECT_EQ(::pipe(pipe_ends.data()), 0);
    pid_ = ::fork();
    if (pid_ == 0) {
      const std::optional<FileLock> lock = FileLock::try_lock(path);
      const char answer = lock.has_value() ? 'y' : 'n';
      if (::write(pipe_ends[1], &answer, 1) != 1) ::_exit(1);
      for (;;) ::pause();
    }
    char answer = 0;
    EXPECT_EQ(::read(pipe_ends[0], &answer, 1), 1);
    has_lock_ = answer == 'y';
    ::close(pipe_ends[0]);
    ::close(pipe_ends[1]);
  }
  ~LockingChild() {
    ::kill(pid_, SIGKILL);
    ::waitpid(pid_, nullptr, 0);
  }
  LockingChild(const LockingChild&) = delete;
  LockingChild& operator=(const LockingChild&) = delete;

  pid_t pid() const { return pid_; }
  bool has_lock() const { return has_lock_; }

 private:
  pid_t pid_ = -1;
  bool has_lock_ = false;
};

TEST(FileLock, BelongsToOneProcessAndDiesWithIt) {
  const tests::TemporaryDirectory directory;
  const std::string path = directory / "lock";
  {
    const LockingChild child(path);
    ASSERT_TRUE(child.has_lock());
    EXPECT_FALSE(FileLock::try_lock(path).has_value());
    EXPECT_TRUE(FileLock::owner(path).starts_with("process " + std::to_string(child.pid()) + " on "))
        << FileLock::owner(path);
  }
  const std::optional<FileLock> lock = FileLock::try_lock(path);
  ASSERT_TRUE(lock.has_value());
  EXPECT_EQ(FileLock::owner(path), FileLock::this_process());
  EXPECT_FALSE(LockingChild(path).has_lock());
}

TEST(FileLock, IsReleasedByItsDestructorAndKeptByAMove) {
  const tests::TemporaryDirectory directory;
  const std::string path = directory / "lock";
  {
    std::optional<FileLock> lock = FileLock::try_lock(path, "the first owner, with a long text");
    ASSERT_TRUE(lock.has_value());
    const FileLock moved = std::move(*lock);
    lock.reset();
    EXPECT_FALSE(FileLock::try_lock(path).has_value());
    EXPECT_EQ(FileLock::owner(path), "the first owner, with a long text");
  }
  EXPECT_TRUE(FileLock::try_lock(path, "second").has_value());
  EXPECT_EQ(FileLock::owner(path), "second");
}

TEST(FileLock, ARemovedFileIsNobodysLockAndANewOneIsLeftAlone) {
  const tests::TemporaryDirectory directory;
  const std::string path = directory / "lock";
  std::optional<FileLock> first = FileLock::try_lock(path, "first");
  ASSERT_TRUE(first.has_value());
  first->remove_file();
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_EQ(FileLock::owner(path), "");
  const std::optional<FileLock> second = FileLock::try_lock(path, "second");
  ASSERT_TRUE(second.has_value());
  first->remove_file();  // not its file any more
  first.reset();
  EXPECT_EQ(FileLock::owner(path), "second");
  EXPECT_FALSE(FileLock::try_lock(path).has_value());
}

TEST(FileLock, AFileThatCannotBeMadeIsNamed) {
  const tests::TemporaryDirectory directory;
  try {
    FileLock::try_lock(directory / "nowhere/lock");
    FAIL() << "there is no such directory";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::io);
    EXPECT_EQ(error.what(), "cannot open " + directory / "nowhere/lock" + ": No such file or directory");
  }
}

}  // namespace
}  // namespace trireme::runtime
