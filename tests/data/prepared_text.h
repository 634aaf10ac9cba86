// Small corpora on disk for the tests of this room.
#pragma once

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "data/byte_tokenizer.h"
#include "data/prepare.h"
#include "runtime/error.h"
#include "tests/temporary_directory.h"

namespace trireme::data {

inline void write_file(const std::string& path, const std::string& content) {
  std::filesystem::create_directories(std::filesystem::path(path).parent_path());
  std::ofstream(path, std::ios::binary) << content;
}

inline std::string read_file(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

/// Lines that differ, `bytes` long in all.
inline std::string numbered_text(size_t bytes) {
  std::string text;
  for (int line = 0; text.size() < bytes; ++line) text += "line " + std::to_string(line * line) + " of a text\n";
  text.resize(bytes);
  return text;
}

/// Prepares `text` as one document under `directory`/dataset without validation, in shards of `shard_tokens`.
inline std::string prepare_text(const tests::TemporaryDirectory& directory, const std::string& text,
                                int64_t shard_tokens = int64_t{1} << 30, double validation_fraction = 0) {
  write_file(directory / "text.txt", text);
  prepare(runtime::real_files(), ByteTokenizer(),
          {.inputs = {directory / "text.txt"},
           .output = directory / "dataset",
           .validation_fraction = validation_fraction,
           .shard_tokens = shard_tokens});
  return directory / "dataset";
}

/// The message of the Error that `call` throws; its kind must be `kind`, and the message one line.
template <typename Call>
std::string error_of(runtime::ErrorKind kind, Call call) {
  try {
    call();
  } catch (const runtime::Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_EQ(std::string(error.what()).find('\n'), std::string::npos) << error.what();
    return error.what();
  }
  ADD_FAILURE() << "an error was expected";
  return "";
}

inline void expect_contains(const std::string& text, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) EXPECT_NE(text.find(part), std::string::npos) << part << " in: " << text;
}

}  // namespace trireme::data
