// A temporary directory with a small corpus and model, for end-to-end tests of the program.
#pragma once

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <filesystem>
#include <fstream>
#include <random>
#include <sstream>
#include <string>
#include <vector>

#include "tests/launch/program.h"

namespace trireme::tests {

class Workspace {
 public:
  Workspace() {
    std::string pattern = (std::filesystem::temp_directory_path() / "trireme-test-XXXXXX").string();
    path_ = mkdtemp(pattern.data());
  }
  ~Workspace() { std::filesystem::remove_all(path_); }
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  std::string path(const std::string& name) const { return (path_ / name).string(); }

  std::string write(const std::string& name, const std::string& text) const {
    std::ofstream(path(name), std::ios::binary) << text;
    return path(name);
  }

  /// English-like lines of words that follow each other with some regularity, so that a model can learn from them.
  static std::string corpus(size_t bytes) {
    const std::vector<std::string> words = {"the",  "ship", "rows", "with", "three", "banks", "of",
                                            "oars", "over", "a",    "wine", "dark",  "sea"};
    std::mt19937 random(42);
    std::string text;
    size_t word = 0;
    while (text.size() < bytes) {
      word = random() % 4 == 0 ? random() % words.size() : (word + 1) % words.size();
      text += words[word];
      text += random() % 12 == 0 ? ".\n" : " ";
    }
    return text;
  }

  /// A prepared data set "data" of `bytes` and a tiny model "model.json".
  void prepare(size_t bytes = 20000) const {
    write("corpus.txt", corpus(bytes));
    write("model.json",
          R"({"model_type": "gpt2", "n_layer": 2, "n_head": 2, "n_embd": 32, "n_positions": 32, "vocab_size": 257})");
    const ProgramResult result =
        run_trireme({"prepare", "--input", path("corpus.txt"), "--output", path("data"), "--tokenizer", "byte"});
    ASSERT_EQ(result.exit_code, 0) << result.error;
  }

  /// Words of a `train` of the tiny model into `run`, with `more` behind.
  std::vector<std::string> train_words(const std::string& run, const std::vector<std::string>& more) const {
    std::vector<std::string> words = {"train", "--data", path("data"), "--model", path("model.json"),
                                      "--run", path(run)};
    for (const char* word : {"--global-batch-size", "8", "--learning-rate", "3e-3", "--log-every", "1"})
      words.emplace_back(word);
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }

  /// The objects of a run's log.
  std::vector<boost::json::object> log(const std::string& run) const {
    std::vector<boost::json::object> lines;
    std::ifstream file(path(run) + "/log.jsonl");
    for (std::string line; std::getline(file, line);) lines.push_back(boost::json::parse(line).as_object());
    return lines;
  }

  std::string read(const std::string& name) const {
    std::ifstream file(path(name), std::ios::binary);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
  }

 private:
  std::filesystem::path path_;
};

/// One line on standard error that holds `part`, and that exit code: what bad input must give.
inline void expect_refused(const ProgramResult& result, int exit_code, const std::string& part) {
  EXPECT_EQ(result.exit_code, exit_code) << result.error;
  EXPECT_NE(result.error.find(part), std::string::npos) << result.error;
  EXPECT_EQ(std::count(result.error.begin(), result.error.end(), '\n'), 1) << result.error;
}

}  // namespace trireme::tests
