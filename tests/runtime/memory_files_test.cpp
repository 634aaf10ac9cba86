#include "tests/memory_files.h"

#include <gtest/gtest.h>

#include <functional>
#include <set>
#include <span>
#include <string_view>

#include "runtime/error.h"
#include "tests/failing_files.h"
#include "tests/temporary_directory.h"

namespace trireme::tests {
namespace {

using runtime::Error;
using runtime::Files;
using Names = std::vector<std::string>;
constexpr int kSeeds = 200;

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

void write(Files& files, const std::string& path, std::string_view text, bool sync) {
  const auto file = files.create(path);
  file->append(bytes_of(text));
  if (sync) file->sync();
}

std::string content(Files& files, const std::string& path) {
  return files.exists(path) ? read_text(files, path) : "none";
}

/// What is at `path` after power is lost, over many seeds.
std::set<std::string> outcomes(MemoryFiles& disk, const std::string& path) {
  std::set<std::string> found;
  for (int seed = 0; seed < kSeeds; ++seed) {
    found.insert(content(*disk.after(Crash::power_loss_mixed, static_cast<uint64_t>(seed)), path));
  }
  return found;
}

TEST(MemoryFiles, OnlyWhatWasSyncedSurvivesALossOfPower) {
  MemoryFiles disk;
  disk.make_directory("run/a");
  write(disk, "run/a/synced", "12345678", true);
  write(disk, "run/a/content", "12345678", false);
  disk.sync_directory("run/a");
  write(disk, "run/a/entry", "12345678", true);
  disk.rename("run/a/synced", "run/a/renamed");

  const auto killed = disk.after(Crash::process_death);
  EXPECT_EQ(killed->list("run/a"), (Names{"content", "entry", "renamed"}));
  EXPECT_EQ(content(*killed, "run/a/content"), "12345678");
  for (MemoryFiles* from : {&disk, killed.get()}) {  // that the process died makes nothing durable
    const auto left = from->after(Crash::power_loss);
    EXPECT_EQ(left->list("run/a"), (Names{"content", "synced"}));
    EXPECT_EQ(content(*left, "run/a/content"), "");
    EXPECT_EQ(content(*left, "run/a/synced"), "12345678");
  }
  disk.open("run/a/content")->sync();
  disk.sync_directory("run/a");
  for (Crash crash : {Crash::process_death, Crash::power_loss, Crash::power_loss_mixed}) {
    const auto left = disk.after(crash);
    EXPECT_EQ(left->list("run/a"), (Names{"content", "entry", "renamed"}));
    for (const std::string& name : left->list("run/a")) EXPECT_EQ(content(*left, "run/a/" + name), "12345678");
  }
}

TEST(MemoryFiles, ChangesOfContentSurviveInPart) {
  MemoryFiles disk;
  disk.make_directory("run");
  const auto file = disk.create("run/a");
  file->append(bytes_of("1234"));
  file->sync();
  disk.sync_directory("run");
  file->append(bytes_of("5678"));
  const std::set<std::string> found = outcomes(disk, "run/a");
  for (const char* kept : {"12345678", "1234", "12345"}) EXPECT_TRUE(found.contains(kept)) << kept;
  EXPECT_TRUE(found.contains(std::string("1234\0\00078", 8)));
  for (const std::string& text : found) EXPECT_TRUE(text.starts_with("1234")) << text << ": it was synced";
  file->sync();
  EXPECT_EQ(outcomes(disk, "run/a"), std::set<std::string>{"12345678"});
}

TEST(MemoryFiles, ARenameSurvivesAsAWholeWithItsContentOrWithout) {
  MemoryFiles disk;
  disk.make_directory("run");
  write(disk, "run/a", "old", true);
  disk.sync_directory("run");
  write(disk, "run/a.tmp", "new", false);
  disk.rename("run/a.tmp", "run/a");
  const std::set<std::string> found = outcomes(disk, "run/a");
  for (const char* text : {"old", "new", ""}) EXPECT_TRUE(found.contains(text)) << text;
  EXPECT_FALSE(found.contains("none"));
  EXPECT_TRUE(outcomes(disk, "run/a.tmp").contains("none"));
}

TEST(MemoryFiles, WhatWasRemovedMayComeBack) {
  MemoryFiles disk;
  disk.make_directory("run/step");
  write(disk, "run/step/a", "1", true);
  disk.sync_directory("run/step");
  disk.remove_all("run/step");
  EXPECT_FALSE(disk.exists("run/step/a"));
  EXPECT_EQ(outcomes(disk, "run/step/a"), (std::set<std::string>{"1", "none"}));
  disk.sync_directory("run");
  EXPECT_EQ(outcomes(disk, "run/step/a"), std::set<std::string>{"none"});
}

/// Does the same to both and compares what comes of it; "ROOT" stands for the place.
void expect_alike(const std::function<std::string(Files&, const std::string&)>& act) {
  const TemporaryDirectory directory;
  MemoryFiles memory;
  memory.make_directory("/root");
  const auto outcome = [&](Files& files, const std::string& root) {
    write(files, root + "/file", "12345", false);
    files.make_directory(root + "/full/inner");
    files.make_directory(root + "/empty/");
    std::string text;
    try {
      text = act(files, root);
    } catch (const Error& error) {
      text = error.what() + std::to_string(static_cast<int>(error.kind()));
    }
    for (const std::string& name : files.list(root)) text += " " + name;
    for (size_t at = text.find(root); at != std::string::npos; at = text.find(root))
      text.replace(at, root.size(), "ROOT");
    return text;
  };
  EXPECT_EQ(outcome(memory, "/root"), outcome(runtime::real_files(), directory.path()));
}

TEST(MemoryFiles, WorksAndRefusesAsTheRealFilesDo) {
  const auto open = [](const char* path) {
    expect_alike(
        [=](Files& files, const std::string& root) { return std::to_string(files.open(root + path)->size_bytes()); });
  };
  const auto create = [](const char* path) {
    expect_alike([=](Files& files, const std::string& root) { return files.create(root + path) ? "made" : ""; });
  };
  const auto rename = [](const char* from, const char* to) {
    expect_alike(
        [=](Files& files, const std::string& root) { return files.rename(root + from, root + to), "renamed"; });
  };
  for (const char* path : {"/file", "/missing", "/file/a", "/missing/a", "/./full/../file"}) open(path);
  for (const char* path : {"/file", "/new", "/missing/a", "/file/a", "/full"}) create(path);
  for (const char* from : {"/file", "/full", "/empty", "/missing", "/missing/a", "/file/a"}) {
    for (const char* to : {"/file", "/full", "/empty", "/new", "/missing/a", "/file/a"}) {
      if (std::string_view(from) != to) rename(from, to);
    }
  }
  for (const char* path : {"/file", "/full", "/missing", "/file/a", "/full/inner"}) {
    expect_alike([=](Files& files, const std::string& root) { return files.remove_all(root + path), "removed"; });
    expect_alike([=](Files& files, const std::string& root) { return files.sync_directory(root + path), "synced"; });
    expect_alike([=](Files& files, const std::string& root) { return files.make_directory(root + path), "made"; });
    expect_alike([=](Files& files, const std::string& root) { return std::to_string(files.list(root + path).size()); });
    expect_alike([=](Files& files, const std::string& root) {
      return std::to_string(files.exists(root + path)) + std::to_string(files.is_directory(root + path)) +
             std::to_string(files.is_regular_file(root + path));
    });
  }
  expect_alike([](Files& files, const std::string& root) {
    std::array<std::byte, 4> four{};
    return files.open(root + "/file")->read_at(2, four), "read";
  });
  expect_alike([](Files& files, const std::string& root) {
    return files.open(root + "/file")->append(bytes_of("6")), "written";
  });
  expect_alike([](Files& files, const std::string& root) {
    const auto file = files.create(root + "/new");
    file->write_at(3, bytes_of("abc"));
    file->resize(8);
    file->write_at(1, bytes_of("xyz"));
    file->append(bytes_of("end"));
    file->resize(10);
    return read_text(files, root + "/new");
  });
}

/// Three files in run/, each of two letters: nine calls with the directory.
void write_three(Files& files) {
  files.make_directory("run");
  for (const char* path : {"run/a", "run/b"}) write(files, path, "12", true);
  files.rename("run/b", "run/c");
  files.remove_all("run");
}

TEST(FailingFiles, EachCallFailsAsPlanned) {
  MemoryFiles counted_disk;
  FailingFiles counted(FaultPlan{}, counted_disk);
  write_three(counted);
  ASSERT_EQ(counted.calls(), 12);  // the last four: list run, remove a, c and run
  for (Fault fault : {Fault::io_error, Fault::no_space, Fault::short_write, Fault::die, Fault::die_after}) {
    for (int64_t call = 0; call < counted.calls(); ++call) {
      MemoryFiles disk;
      FailingFiles files({.call = call, .fault = fault}, disk);
      const bool dies = fault == Fault::die || fault == Fault::die_after;
      try {
        write_three(files);
        ADD_FAILURE() << "no failure";
      } catch (const Error& error) {
        EXPECT_FALSE(dies);
        EXPECT_TRUE(std::string(error.what())
                        .ends_with(fault == Fault::io_error ? "Input/output error" : "No space left on device"));
      } catch (const ProcessDied&) {
        EXPECT_TRUE(dies);
        EXPECT_THROW(files.exists("run"), ProcessDied);
      }
      EXPECT_TRUE(files.injected().starts_with("call " + std::to_string(call) + ", ")) << files.injected();
      if (call == 2) {
        EXPECT_EQ(content(disk, "run/a"), fault == Fault::short_write ? "1" : fault == Fault::die_after ? "12" : "");
      }
      if (call == 9) {
        EXPECT_EQ(disk.list("run"), fault == Fault::die_after ? Names{"c"} : (Names{"a", "c"}));
      }
    }
  }
}

TEST(FailingFiles, FailsOnceOrForGood) {
  for (bool for_good : {false, true}) {
    MemoryFiles disk;
    FailingFiles files({.call = 1, .fault = Fault::no_space, .for_good = for_good}, disk);
    files.make_directory("run");
    EXPECT_THROW(files.create("run/a"), Error);
    if (for_good) {
      EXPECT_THROW(files.create("run/a"), Error);
    } else {
      files.create("run/a");
    }
  }
}

}  // namespace
}  // namespace trireme::tests
