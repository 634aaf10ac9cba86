// Ids that Hugging Face's tokenizers and tiktoken gave (make_tokenizer_golden.py): hard strings in full, and the texts
// of TRIREME_TEST_DATA as number and SHA-256 of their ids.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <vector>

#include <boost/json.hpp>

#include "data/bpe_tokenizer.h"
#include "data/splitter.h"
#include "data/tokenizer_files.h"
#include "runtime/digest.h"
#include "tests/data/prepared_text.h"

namespace trireme::data {
namespace {

const std::string kGolden = "tests/data/golden/";

std::string test_data() {
  const char* set = std::getenv("TRIREME_TEST_DATA");
  return set != nullptr ? set : "../shared/data";
}

TokenizerParts as_ranks(TokenizerParts parts) {
  parts.vocabulary.mode = BpeMode::ranks;
  parts.vocabulary.merges.clear();
  if (parts.pattern == kCl100kPattern) parts.pattern = kTiktokenCl100kPattern;
  return parts;
}

/// `mode` is "merges" or "ranks".
void expect_ids_of_strings(const BpeTokenizer& tokenizer, const boost::json::value& golden, const char* mode) {
  for (const boost::json::value& one : golden.at("strings").as_array()) {
    const auto text = boost::json::value_to<std::string>(one.at("text"));
    std::vector<int32_t> ids;
    tokenizer.encode(text, ids);
    EXPECT_EQ(ids, boost::json::value_to<std::vector<int32_t>>(one.at(mode))) << mode << ": " << one.at("text");
    EXPECT_EQ(tokenizer.decode(ids), text);
  }
}

void expect_ids_of_texts(const BpeTokenizer& tokenizer, const boost::json::value& golden, const char* mode) {
  for (const auto& [file, ids_of] : golden.at("texts").as_object()) {
    const std::string path = test_data() + "/" + std::string(file);
    std::vector<int32_t> ids;
    tokenizer.encode(read_file(path), ids);
    const boost::json::value& expected = ids_of.at(mode);
    EXPECT_EQ(static_cast<int64_t>(ids.size()), expected.at("tokens").as_int64()) << mode << ": " << path;
    EXPECT_EQ(runtime::sha256({reinterpret_cast<const char*>(ids.data()), ids.size() * sizeof ids[0]}),
              boost::json::value_to<std::string>(expected.at("sha256")))
        << mode << ": " << path;
  }
}

/// A tokenizer and its golden ids. GPT-2's is among the test data, the small ones of a thousand tokens are here.
class TokenizerGolden : public testing::TestWithParam<const char*> {
 protected:
  const std::string name_ = GetParam();
  const std::string path_ = name_ == "gpt2" ? test_data() + "/gpt2-tokenizer" : kGolden + name_ + ".json";
  const boost::json::value golden_ = boost::json::parse(read_file(kGolden + name_ + "_ids.json"));
};

TEST_P(TokenizerGolden, IdsOfHardStrings) {
  if (!std::filesystem::exists(path_)) GTEST_SKIP() << "SKIPPED: no " << path_ << "; set TRIREME_TEST_DATA";
  const TokenizerParts parts = read_tokenizer(runtime::real_files(), path_);
  ASSERT_GE(golden_.at("strings").as_array().size(), 60U);
  expect_ids_of_strings(BpeTokenizer(parts), golden_, "merges");
  expect_ids_of_strings(BpeTokenizer(as_ranks(parts)), golden_, "ranks");
}

TEST_P(TokenizerGolden, IdsOfRealTexts) {
  std::vector<std::string> needed = {path_};
  for (const auto& [file, ids_of] : golden_.at("texts").as_object()) {
    needed.push_back(test_data() + "/" + std::string(file));
  }
  for (const std::string& path : needed) {
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "SKIPPED: no " << path << "; set TRIREME_TEST_DATA";
  }
  const TokenizerParts parts = read_tokenizer(runtime::real_files(), path_);
  expect_ids_of_texts(BpeTokenizer(parts), golden_, "merges");
  expect_ids_of_texts(BpeTokenizer(as_ranks(parts)), golden_, "ranks");
}

INSTANTIATE_TEST_SUITE_P(Of, TokenizerGolden, testing::Values("gpt2", "small_cl100k", "small_o200k"),
                         [](const auto& tokenizer) { return std::string(tokenizer.param); });

}  // namespace
}  // namespace trireme::data
