#include "runtime/files.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <functional>

#include "runtime/error.h"
#include "tests/file_size_limit.h"
#include "tests/temporary_directory.h"

namespace {

std::vector<std::string> synced;

}  // namespace

// Stands in for the system's function in this program: notes the path, then does it.
int fsync(int descriptor) {
  synced.push_back(std::filesystem::read_symlink("/proc/self/fd/" + std::to_string(descriptor)).string());
  return static_cast<int>(::syscall(SYS_fsync, descriptor));
}

namespace trireme::runtime {
namespace {

using Names = std::vector<std::string>;

void expect_error(ErrorKind kind, const std::string& part, const std::function<void()>& call) {
  try {
    call();
    FAIL() << "no error that says " << part;
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(Files, WhatWasAppendedIsRead) {
  const tests::TemporaryDirectory directory;
  Files& files = real_files();
  {
    const auto file = files.create(directory / "a");
    file->append(std::as_bytes(std::span(std::string_view("hello "))));
    file->append(std::as_bytes(std::span(std::string_view("world"))));
    file->sync();
    EXPECT_EQ(file->size_bytes(), 11);
  }
  EXPECT_EQ(read_text(files, directory / "a"), "hello world");
  std::array<char, 5> middle{};
  files.open(directory / "a")->read_at(3, std::as_writable_bytes(std::span(middle)));
  EXPECT_EQ(std::string(middle.data(), middle.size()), "lo wo");
}

TEST(Files, ErrorsNameThePathAndTheReason) {
  const tests::TemporaryDirectory directory;
  Files& files = real_files();
  write_text_atomically(files, directory / "a", "12345");
  expect_error(ErrorKind::io, "cannot open " + directory / "b" + ": No such file or directory",
               [&] { files.open(directory / "b"); });
  expect_error(ErrorKind::io, "cannot create " + directory / "a" + ": File exists",
               [&] { files.create(directory / "a"); });
  expect_error(ErrorKind::io, "Not a directory", [&] { files.make_directory(directory / "a/b"); });
  expect_error(ErrorKind::io, "No such file or directory", [&] { static_cast<void>(files.list(directory / "c")); });
  std::array<std::byte, 4> four{};
  expect_error(ErrorKind::data, "a ends after 5 bytes; bytes up to 6 were expected",
               [&] { files.open(directory / "a")->read_at(2, four); });
}

// Whoever takes "cannot tell" for "not there" may throw away what is good.
TEST(Files, OnlyWhatIsNotThereDoesNotExist) {
  const tests::TemporaryDirectory directory;
  Files& files = real_files();
  write_text_atomically(files, directory / "a", "");
  std::filesystem::create_symlink("a", directory / "link");
  std::filesystem::create_symlink("missing", directory / "dangling");
  std::filesystem::create_symlink("loop", directory / "loop");
  for (const char* name : {"a", "link", "."}) EXPECT_TRUE(files.exists(directory / name)) << name;
  for (const char* name : {"missing", "missing/b", "a/b", "dangling"}) {
    EXPECT_FALSE(files.exists(directory / name)) << name;
    EXPECT_FALSE(files.is_directory(directory / name)) << name;
  }
  EXPECT_FALSE(files.is_directory(directory / "a"));
  EXPECT_TRUE(files.is_directory(directory.path()));
  for (const std::string& path : {directory / "loop", directory / "loop/b", directory / std::string(300, 'x')}) {
    expect_error(ErrorKind::io, "cannot look at " + path, [&] { static_cast<void>(files.exists(path)); });
    expect_error(ErrorKind::io, "cannot look at " + path, [&] { static_cast<void>(files.is_directory(path)); });
    expect_error(ErrorKind::io, "cannot look at " + path, [&] { static_cast<void>(files.is_regular_file(path)); });
  }
}

// A file in a directory that itself may vanish in a power loss is not durable.
TEST(Files, MadeDirectoriesAreDurable) {
  const tests::TemporaryDirectory directory;
  Files& files = real_files();
  const std::string root = std::filesystem::canonical(directory.path()).string();
  synced.clear();
  files.make_directory(root + "/a/b/c");
  EXPECT_EQ(synced, (Names{root, root + "/a", root + "/a/b"}));
  synced.clear();
  files.make_directory(root + "/a/b/d/");
  EXPECT_EQ(synced, Names{root + "/a/b"});
  synced.clear();
  files.make_directory(root + "/a/b/c");
  EXPECT_EQ(synced, Names{});
  EXPECT_TRUE(files.is_directory(root + "/a/b/c"));
  EXPECT_TRUE(files.is_directory(root + "/a/b/d"));
}

TEST(Files, KindsAndTheOnePathAreSeenThroughLinks) {
  const tests::TemporaryDirectory directory;
  Files& files = real_files();
  files.make_directory(directory / "a");
  write_text_atomically(files, directory / "a/file", "x");
  std::filesystem::create_symlink("a", directory / "link");
  EXPECT_TRUE(files.is_regular_file(directory / "link/file"));
  EXPECT_FALSE(files.is_regular_file(directory / "link"));
  EXPECT_FALSE(files.is_regular_file(directory / "missing"));
  EXPECT_FALSE(files.is_regular_file("/dev/null"));
  EXPECT_EQ(files.real_path(directory / "link/../a/./file"), files.real_path(directory.path()) + "/a/file");
  expect_error(ErrorKind::io, "cannot find " + directory / "missing" + ": No such file or directory",
               [&] { static_cast<void>(files.real_path(directory / "missing")); });
}

TEST(Files, TheDirectoryThatHoldsAPath) {
  const std::vector<std::pair<std::string, std::string>> expected{{"a/b", "a"}, {"a/b/", "a"}, {"/a/b/c", "/a/b"},
                                                                  {"b", "."},   {"b/", "."},   {"/a", "/"}};
  for (const auto& [path, parent] : expected) EXPECT_EQ(parent_directory(path), parent) << path;
}

TEST(Files, AFullDiskIsAnError) {
  const tests::TemporaryDirectory directory;
  const auto file = real_files().create(directory / "a");
  const std::string text(5000, 'x');
  const tests::FileSizeLimit limit(4096);
  expect_error(ErrorKind::io, "cannot write " + directory / "a" + ": File too large",
               [&] { file->append(std::as_bytes(std::span(text))); });
}

TEST(Files, RenameIsRefusedOntoAFullDirectory) {
  const tests::TemporaryDirectory directory;
  Files& files = real_files();
  files.make_directory(directory / "a/x");
  files.make_directory(directory / "b/y");
  expect_error(ErrorKind::io, "Directory not empty", [&] { files.rename(directory / "a", directory / "b"); });
  files.remove_all(directory / "b");
  files.rename(directory / "a", directory / "b");
  files.sync_directory(directory.path());
  EXPECT_EQ(files.list(directory.path()), Names{"b"});
  EXPECT_TRUE(files.is_directory(directory / "b/x"));
  files.remove_all(directory / "missing");
}

TEST(Files, AtomicWriteReplacesAndLeavesNothingBehind) {
  const tests::TemporaryDirectory directory;
  Files& files = real_files();
  write_text_atomically(files, directory / "a", "old");
  files.create(directory / "a.tmp");  // debris of a killed writer
  write_text_atomically(files, directory / "a", "new");
  EXPECT_EQ(read_text(files, directory / "a"), "new");
  EXPECT_EQ(files.list(directory.path()), Names{"a"});
}

TEST(Files, AnExistingFileIsOpenedForWriting) {
  const tests::TemporaryDirectory directory;
  Files& files = real_files();
  expect_error(ErrorKind::io, "cannot open " + directory / "a" + ": No such file or directory",
               [&] { files.open_for_writing(directory / "a"); });
  files.create(directory / "a")->append(std::as_bytes(std::span(std::string_view("what was there"))));
  const auto file = files.open_for_writing(directory / "a");
  file->resize(5);
  file->append(std::as_bytes(std::span(std::string_view("next"))));
  EXPECT_EQ(read_text(files, directory / "a"), "what next");
}

}  // namespace
}  // namespace trireme::runtime
