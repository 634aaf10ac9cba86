// The promise that lets long documents go through `prepare` in parts: where safe_cut cuts a text, the ids of the parts
// are those of the whole, with normal forms and ordinary added tokens too.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include <boost/json.hpp>

#include "data/bpe_tokenizer.h"
#include "data/safe_cut.h"
#include "data/splitter.h"
#include "data/tokenizer_files.h"
#include "tests/data/prepared_text.h"

namespace trireme::data {
namespace {

using Ids = std::vector<int32_t>;

Ids encode(const Tokenizer& tokenizer, std::string_view text) {
  Ids ids;
  tokenizer.encode(text, ids);
  return ids;
}

/// Every place that safe_cut finds in a beginning of `text`.
std::set<size_t> safe_cuts(std::string_view text) {
  std::set<size_t> cuts;
  for (size_t size = 1; size <= text.size(); ++size) cuts.insert(safe_cut(text.substr(0, size)));
  cuts.erase(0);
  return cuts;
}

/// The golden strings, and between words and lines what normal forms and added tokens make hard there.
std::vector<std::string> hard_texts() {
  const boost::json::value golden = boost::json::parse(read_file("tests/data/golden/small_cl100k_ids.json"));
  std::vector<std::string> texts;
  for (const boost::json::value& one : golden.at("strings").as_array()) {
    const auto text = boost::json::value_to<std::string>(one.at("text"));
    texts.insert(texts.end(), {"a " + text + "\nb", text + " " + text, text + "\n" + text, "x" + text + " z"});
  }
  // Letters with compatibility forms that begin (FE70) or end (FC5E) with other characters than letters, that compose
  // with what follows (1100, 1161), or that are several words (FDFA); then tokens beside cuts.
  const std::vector<std::string> parts = {"a",      "e\u0301", "\uFE70", "\uFC5E",       "\uFDFA",
                                          "\u1100", "\u1161",  "\uFB01", "tok",          "tok's",
                                          "\u212B", "A\u030A", "1",      "<|endoftext|>"};
  for (const std::string& left : parts) {
    for (const std::string& right : parts) {
      for (const char* between : {" ", "\n", ".\n", " \n", "\r\n", "  "})
        texts.push_back(left + between + right + " a");
    }
  }
  return texts;
}

class CutEncoding : public testing::TestWithParam<const char*> {};

TEST_P(CutEncoding, PartsGiveTheIdsOfTheWhole) {
  TokenizerParts parts = read_tokenizer(runtime::real_files(), "tests/data/golden/small_cl100k.json");
  parts.pattern = GetParam();
  const auto next = static_cast<int32_t>(parts.vocabulary.tokens.size()) + 1000;
  parts.added_tokens.push_back({.id = next, .content = "tok", .single_word = true, .special = false});
  parts.added_tokens.push_back({.id = next + 1, .content = "e\u0301", .normalized = true, .special = false});
  parts.added_tokens.push_back({.id = next + 2, .content = "\uFB01", .normalized = true, .special = false});
  const std::vector<std::string> texts = hard_texts();
  const std::vector<std::vector<NormalForm>> all_forms = {
      {}, {NormalForm::nfc}, {NormalForm::nfd}, {NormalForm::nfkc}, {NormalForm::nfkd}};
  for (const std::vector<NormalForm>& forms : all_forms) {
    parts.normal_forms = forms;
    const BpeTokenizer tokenizer(parts);
    ASSERT_TRUE(tokenizer.has_safe_cuts());
    int64_t cuts = 0;
    for (const std::string& text : texts) {
      const Ids whole = encode(tokenizer, text);
      for (const size_t cut : safe_cuts(text)) {
        ++cuts;
        Ids ids = encode(tokenizer, std::string_view(text).substr(0, cut));
        const Ids rest = encode(tokenizer, std::string_view(text).substr(cut));
        ids.insert(ids.end(), rest.begin(), rest.end());
        EXPECT_EQ(ids, whole) << testing::PrintToString(text) << " cut at " << cut << ", form "
                              << (forms.empty() ? "none" : name(forms[0]));
      }
    }
    EXPECT_GT(cuts, 500);
  }
}

INSTANTIATE_TEST_SUITE_P(Patterns, CutEncoding,
                         testing::Values(kGpt2Pattern, kCl100kPattern, kTiktokenCl100kPattern, kO200kPattern));

}  // namespace
}  // namespace trireme::data
