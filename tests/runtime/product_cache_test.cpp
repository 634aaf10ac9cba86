#include "runtime/cuda/product_cache.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>

#include "runtime/file_lock.h"
#include "runtime/files.h"
#include "tests/failing_files.h"
#include "tests/temporary_directory.h"

namespace trireme::runtime::cuda {
namespace {

constexpr int64_t kVersion = 130100;

ProductChoice choice(uint64_t word, BiasGradient gradient = BiasGradient::columns) {
  return {.algorithm = {word, ~uint64_t{0}, 0, uint64_t{1} << 63, 4, 5, 6, 7},
          .bias_gradient = gradient,
          .microseconds = 12.375};
}

ProductCache open(const std::string& directory, Files& files = real_files(), int64_t version = kVersion) {
  return {files, directory, "NVIDIA H200", version};
}

/// What `action` says on standard error.
template <typename Action>
std::string warnings_of(Action&& action) {
  testing::internal::CaptureStderr();
  action();
  return testing::internal::GetCapturedStderr();
}

int64_t lines(const std::string& text) {
  return std::ranges::count(text, '\n');
}

TEST(ProductCache, ReadsBackWhatItKept) {
  const tests::TemporaryDirectory temporary;
  const std::string directory = temporary / "deep/cache";
  const std::string said = warnings_of([&] {
    ProductCache cache = open(directory);
    EXPECT_EQ(cache.find("forward"), std::nullopt);
    EXPECT_EQ(cache.keep("forward", choice(1)), choice(1));
    EXPECT_EQ(cache.keep("backward", choice(2, BiasGradient::product)), choice(2, BiasGradient::product));
    EXPECT_EQ(cache.find("forward"), choice(1));
    const ProductCache again = open(directory);
    EXPECT_EQ(again.path(), directory + "/products-nvidia-h200-cublaslt-130100.json");
    EXPECT_EQ(again.find("forward"), choice(1));
    EXPECT_EQ(again.find("backward"), choice(2, BiasGradient::product));
    EXPECT_EQ(again.find("other"), std::nullopt);
  });
  EXPECT_EQ(said, "");
}

TEST(ProductCache, OfTwoProcessesTheFirstDecidesAndNothingIsLost) {
  const tests::TemporaryDirectory temporary;
  ProductCache first = open(temporary.path());
  ProductCache second = open(temporary.path());
  EXPECT_EQ(first.keep("a", choice(1)), choice(1));
  EXPECT_EQ(second.keep("b", choice(2)), choice(2));
  EXPECT_EQ(second.keep("a", choice(3)), choice(1));
  EXPECT_EQ(first.keep("c", choice(4)), choice(4));
  const ProductCache after = open(temporary.path());
  EXPECT_EQ(after.find("a"), choice(1));
  EXPECT_EQ(after.find("b"), choice(2));
  EXPECT_EQ(after.find("c"), choice(4));
}

TEST(ProductCache, DamagedAndForeignFilesAreOneWarningAndReplaced) {
  const tests::TemporaryDirectory temporary;
  const std::string path = open(temporary.path()).path();
  open(temporary.path()).keep("a", choice(1));
  const std::string whole = read_text(real_files(), path);
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string text = whole;
    EXPECT_NE(text.find(from), std::string::npos) << from;
    return text.replace(text.find(from), from.size(), to);
  };
  const std::string damaged[] = {"",
                                 "[]",
                                 whole.substr(0, whole.size() / 2),
                                 replaced("trireme-products", "trireme-calibration"),
                                 replaced("\"format_version\":1", "\"format_version\":2"),
                                 replaced("NVIDIA H200", "NVIDIA H100"),
                                 replaced("130100", "130101"),
                                 replaced("\"1\"", "\"1g\""),
                                 replaced("\"1\"", "\"\""),
                                 replaced("\"1\"", "1"),
                                 replaced("\"1\",", ""),
                                 replaced("columns", "rows")};
  for (const std::string& text : damaged) {
    SCOPED_TRACE(text);
    write_text_atomically(real_files(), path, text);
    std::optional<ProductCache> cache;
    const std::string said = warnings_of([&] {
      cache.emplace(open(temporary.path()));
      EXPECT_EQ(cache->find("a"), std::nullopt);
      cache->keep("a", choice(5));
      cache->keep("b", choice(6));
    });
    EXPECT_EQ(lines(said), 1) << said;
    EXPECT_NE(said.find(path + " cannot be used"), std::string::npos) << said;
    EXPECT_EQ(open(temporary.path()).find("a"), choice(5));
    EXPECT_EQ(open(temporary.path()).find("b"), choice(6));
  }
}

TEST(ProductCache, AnotherVersionHasAFileOfItsOwn) {
  const tests::TemporaryDirectory temporary;
  open(temporary.path()).keep("a", choice(1));
  const std::string said = warnings_of([&] {
    ProductCache other = open(temporary.path(), real_files(), kVersion + 1);
    EXPECT_EQ(other.find("a"), std::nullopt);
    other.keep("a", choice(2));
  });
  EXPECT_EQ(said, "");
  EXPECT_EQ(open(temporary.path()).find("a"), choice(1));
}

TEST(ProductCache, WhatTheLibraryRefusesIsForgottenAndReplaced) {
  const tests::TemporaryDirectory temporary;
  open(temporary.path()).keep("a", choice(1));
  ProductCache cache = open(temporary.path());
  const std::string said = warnings_of([&] {
    cache.refuse("a");
    EXPECT_EQ(cache.find("a"), std::nullopt);
    EXPECT_EQ(cache.keep("a", choice(2)), choice(2));
  });
  EXPECT_EQ(lines(said), 1) << said;
  EXPECT_EQ(open(temporary.path()).find("a"), choice(2));
}

TEST(ProductCache, UnwritableDirectoryIsOneWarning) {
  const tests::TemporaryDirectory temporary;
  const std::string in_the_way = temporary / "file";
  write_text_atomically(real_files(), in_the_way, "x");
  for (const std::string& directory : {in_the_way + "/cache", std::string()}) {
    SCOPED_TRACE(directory);
    const std::string said = warnings_of([&] {
      ProductCache cache = open(directory);
      cache.keep("a", choice(1));
      cache.keep("b", choice(2));
      EXPECT_EQ(cache.find("a"), choice(1));
      EXPECT_EQ(cache.find("b"), choice(2));
    });
    EXPECT_EQ(lines(said), 1) << said;
  }
}

TEST(ProductCache, AFailureAtAnyAccessLeavesAWholeFile) {
  const tests::TemporaryDirectory temporary;
  tests::FailingFiles counting;
  open(temporary / "counted").keep("old", choice(9));
  {
    ProductCache cache = open(temporary / "counted", counting);
    cache.keep("a", choice(1));
  }
  EXPECT_GT(counting.calls(), 5);
  for (int64_t fail_at = 0; fail_at < counting.calls(); ++fail_at) {
    for (const bool for_good : {false, true}) {
      SCOPED_TRACE(testing::Message() << "access " << fail_at << (for_good ? " and all after it" : ""));
      const std::string directory = temporary / ("cache" + std::to_string(fail_at) + (for_good ? "b" : "a"));
      open(directory).keep("old", choice(9));
      tests::FailingFiles files({.call = fail_at, .for_good = for_good});
      const std::string said = warnings_of([&] {
        ProductCache cache = open(directory, files);
        EXPECT_EQ(cache.keep("a", choice(1)), choice(1));
      });
      EXPECT_NE(said, "");
      const std::string after = warnings_of([&] {
        ProductCache cache = open(directory);
        EXPECT_EQ(cache.find("old"), choice(9));
        cache.keep("a", choice(2));
      });
      EXPECT_EQ(after, "");
    }
  }
}

TEST(ProductCache, WaitsForALockAndGoesOnWithoutIt) {
  const tests::TemporaryDirectory temporary;
  ProductCache cache = open(temporary.path());
  const auto lock = FileLock::try_lock(cache.path() + ".lock", "another process");
  ASSERT_TRUE(lock.has_value());
  const std::string said = warnings_of([&] { EXPECT_EQ(cache.keep("a", choice(1)), choice(1)); });
  EXPECT_NE(said.find("is locked by another process"), std::string::npos) << said;
  EXPECT_FALSE(std::filesystem::exists(cache.path()));
}

TEST(ProductCache, DirectoryComesFromTheEnvironment) {
  const char* names[] = {"TRIREME_CACHE_DIR", "XDG_CACHE_HOME", "HOME"};
  std::optional<std::string> before[3];
  for (int i = 0; i < 3; ++i) {
    const char* value = std::getenv(names[i]);
    if (value != nullptr) before[i] = value;
  }
  const auto with = [&](const char* ours, const char* xdg, const char* home) {
    const char* values[] = {ours, xdg, home};
    for (int i = 0; i < 3; ++i) values[i] == nullptr ? unsetenv(names[i]) : setenv(names[i], values[i], 1);
    return cache_directory();
  };
  EXPECT_EQ(with("/ours", "/xdg", "/home/me"), "/ours");
  EXPECT_EQ(with("", "/xdg", "/home/me"), "/xdg/trireme");
  EXPECT_EQ(with(nullptr, "relative", "/home/me"), "/home/me/.cache/trireme");
  EXPECT_EQ(with(nullptr, nullptr, "/home/me"), "/home/me/.cache/trireme");
  EXPECT_EQ(with(nullptr, nullptr, nullptr), "");
  for (int i = 0; i < 3; ++i) before[i] ? setenv(names[i], before[i]->c_str(), 1) : unsetenv(names[i]);
}

}  // namespace
}  // namespace trireme::runtime::cuda
