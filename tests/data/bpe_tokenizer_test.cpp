#include "data/bpe_tokenizer.h"

#include <algorithm>
#include <random>

#include "data/bpe_trainer.h"
#include "data/safe_cut.h"
#include "data/tokenizer_files.h"
#include "data/tokenizer_json.h"
#include "runtime/digest.h"
#include "tests/data/gpt2_files.h"
#include "tests/data/prepared_text.h"
#include "tests/data/small_tokenizer.h"

namespace trireme::data {
namespace {

using runtime::ErrorKind;
using Ids = std::vector<int32_t>;

Ids encode(const Tokenizer& tokenizer, std::string_view text, SpecialTokens special = SpecialTokens::as_text) {
  Ids ids;
  tokenizer.encode(text, ids, special);
  return ids;
}

std::string random_bytes(size_t bytes, uint32_t seed) {
  std::mt19937 random(seed);
  const std::vector<std::string> parts = {"hello", " w", "\n", " ", "中文", "\xc3", "<|endoftext|>", "e\u0301", "'s"};
  std::string text;
  while (text.size() < bytes) {
    const size_t choice = random() % (parts.size() + 1);
    if (choice == parts.size()) {
      text += static_cast<char>(random());
    } else {
      text += parts[choice];
    }
  }
  return text;
}

TEST(BpeTokenizer, AnyBytesSurviveTheRoundTrip) {
  for (const char* pattern : {"", kGpt2Pattern, kCl100kPattern, kO200kPattern}) {
    TokenizerParts parts = small_parts();
    parts.pattern = pattern;
    const BpeTokenizer tokenizer(parts);
    for (uint32_t seed = 0; seed < 20; ++seed) {
      const std::string text = random_bytes(500, seed);
      EXPECT_EQ(tokenizer.decode(encode(tokenizer, text)), text);
    }
  }
}

TEST(BpeTokenizer, Gpt2GivesTheKnownIds) {
  if (!has_gpt2_files()) GTEST_SKIP() << "SKIPPED: no " << gpt2_directory() << "; set TRIREME_TEST_DATA";
  const BpeTokenizer tokenizer(read_tokenizer(runtime::real_files(), gpt2_directory()));
  EXPECT_EQ(tokenizer.vocabulary_size(), 50257);
  EXPECT_EQ(tokenizer.end_of_text(), 50256);
  EXPECT_EQ(encode(tokenizer, "Hello world"), (Ids{15496, 995}));
  EXPECT_EQ(encode(tokenizer, "The quick brown fox jumps over the lazy dog."),
            (Ids{464, 2068, 7586, 21831, 18045, 625, 262, 16931, 3290, 13}));
  EXPECT_EQ(encode(tokenizer, "We'll see  it,\n\n  1234!"),
            (Ids{1135, 1183, 766, 220, 340, 11, 628, 220, 1105, 2682, 0}));
  EXPECT_EQ(encode(tokenizer, "a<|endoftext|>b", SpecialTokens::known), (Ids{64, 50256, 65}));
  EXPECT_EQ(tokenizer.decode(Ids{15496, 50256, 995}), "Hello world");
}

TEST(BpeTokenizer, LongTextsInPartsEqualShortOnes) {
  TokenizerParts parts = small_parts();
  parts.pattern = kGpt2Pattern;
  const BpeTokenizer tokenizer(parts);
  ASSERT_TRUE(tokenizer.has_safe_cuts());
  std::string text = std::string(700'000, 'x') + "\n";  // no cut in the first part
  text += random_bytes(600'000, 7) + numbered_text(300'000);
  parts.add_prefix_space = true;  // no safe cuts, so that all is one part; the text begins with a space of its own
  const BpeTokenizer whole(parts);
  ASSERT_FALSE(whole.has_safe_cuts());
  EXPECT_EQ(encode(tokenizer, " " + text), encode(whole, " " + text));
}

TEST(BpeTokenizer, PrefixSpaceGoesBeforeEveryStretch) {
  TokenizerParts parts = small_parts();
  parts.add_prefix_space = true;
  const BpeTokenizer tokenizer(parts);
  EXPECT_EQ(encode(tokenizer, "w"), (Ids{260}));
  EXPECT_EQ(encode(tokenizer, " w"), (Ids{260}));
  EXPECT_EQ(encode(tokenizer, ""), Ids{});
  EXPECT_EQ(encode(tokenizer, "w<|endoftext|>w", SpecialTokens::known), (Ids{260, 261, 260}));
}

TEST(BpeTokenizer, NormalFormsLeaveIllFormedBytes) {
  TokenizerParts parts = small_parts();
  parts.normal_forms = {NormalForm::nfc};
  const BpeTokenizer tokenizer(parts);
  EXPECT_EQ(tokenizer.decode(encode(tokenizer,
                                    "e\u0301\xff"
                                    "e\u0301\xc3")),
            "\u00e9\xff\u00e9\xc3");
}

TEST(BpeTokenizer, NormalizedTokensAreFoundInNormalText) {
  TokenizerParts parts = small_parts();
  parts.normal_forms = {NormalForm::nfkc};
  parts.added_tokens.push_back({.id = 262, .content = "\ufb01x", .normalized = true, .special = false});  // ligature fi
  parts.added_tokens.push_back({.id = 263, .content = "\ufb02", .normalized = false, .special = false});  // ligature fl
  const BpeTokenizer tokenizer(parts);
  EXPECT_EQ(encode(tokenizer, "fix"), (Ids{262}));
  EXPECT_EQ(encode(tokenizer, "\ufb01x"), (Ids{262}));
  EXPECT_EQ(encode(tokenizer, "\ufb02"), (Ids{263}));
  EXPECT_EQ(encode(tokenizer, "fl"), (Ids{'f', 'l'}));
  EXPECT_EQ(tokenizer.decode(Ids{262, 263}), "\ufb01x\ufb02") << "an ordinary added token's content";
}

TEST(BpeTokenizer, DecodesHolesToNothingAndRefusesWhatIsOutside) {
  TokenizerParts parts = small_parts();
  parts.added_tokens[0].id = 300;
  const BpeTokenizer tokenizer(parts);
  EXPECT_EQ(tokenizer.vocabulary_size(), 301);
  EXPECT_EQ(tokenizer.decode(Ids{259, 299, 300, '!'}), "hello!");
  for (const int32_t id : {-1, 301}) {
    expect_contains(error_of(ErrorKind::data, [&] { tokenizer.decode(Ids{id}); }), {std::to_string(id), "301"});
  }
}

TEST(BpeTokenizer, DescriptionNamesTheFile) {
  TokenizerParts parts = small_parts();
  parts.pattern = kGpt2Pattern;
  const boost::json::object description = BpeTokenizer(parts).description();
  EXPECT_EQ(description.at("kind"), "bpe");
  EXPECT_EQ(description.at("mode"), "merges");
  EXPECT_EQ(description.at("sha256"), boost::json::value(runtime::sha256(tokenizer_json(parts))));
  EXPECT_EQ(description.at("vocabulary_size"), 262);
  EXPECT_EQ(description.at("pattern"), kGpt2Pattern);
  EXPECT_EQ(description.at("unicode_version"), "16.0") << "the scanner's own tables, whatever ICU has";
  EXPECT_FALSE(description.contains("normal_form_unicode_version"));
  parts.added_tokens[0].rstrip = true;
  EXPECT_NE(BpeTokenizer(parts).digest(), tokenizer_digest(description));
}

TEST(BpeTokenizer, LearnedTextNeverBecomesASpecialToken) {
  PieceCounts counts;
  counts.add("<|endoftext|>", 100);
  BpeVocabulary vocabulary = train_bpe(counts, {.vocabulary_size = 400, .special_tokens = {"<|endoftext|>"}});
  ASSERT_GT(vocabulary.merges.size(), 5U);
  const BpeTokenizer tokenizer(TokenizerParts{.vocabulary = std::move(vocabulary),
                                              .pattern = "",
                                              .normal_forms = {},
                                              .added_tokens = {{.id = 0, .content = "<|endoftext|>"}},
                                              .end_of_text = "<|endoftext|>",
                                              .begin_of_text = {}});
  const Ids ids = encode(tokenizer, "<|endoftext|>");
  EXPECT_GT(ids.size(), 1U);
  EXPECT_EQ(std::ranges::count(ids, tokenizer.end_of_text()), 0);
  EXPECT_EQ(tokenizer.decode(ids), "<|endoftext|>");
}

TEST(BpeTokenizer, DescriptionHasTheVersionsOfTheTablesInUse) {
  TokenizerParts parts = small_parts();
  EXPECT_FALSE(BpeTokenizer(parts).description().contains("unicode_version"));
  parts.pattern = "a+";
  parts.normal_forms = {NormalForm::nfc};
  const boost::json::object description = BpeTokenizer(parts).description();
  const std::string pcre2 = make_pcre2_splitter("a+")->unicode_version();
  EXPECT_GE(std::stoi(pcre2), 14) << pcre2;
  EXPECT_EQ(description.at("unicode_version"), boost::json::value(pcre2));
  EXPECT_EQ(description.at("normal_form_unicode_version"), boost::json::value(unicode_version()));
}

TEST(BpeTokenizer, RefusesUnsoundParts) {
  const auto message = [](const TokenizerParts& parts) {
    return error_of(ErrorKind::data, [&] { BpeTokenizer{parts}; });
  };
  TokenizerParts parts = small_parts();
  parts.end_of_text = "</s>";
  expect_contains(message(parts), {"</s>"});
  parts = small_parts();
  parts.added_tokens[0].id = 'x';
  expect_contains(message(parts), {"120", "<|endoftext|>", "x"});
  parts = small_parts();
  parts.added_tokens.push_back({.id = 262, .content = ""});
  expect_contains(message(parts), {"262", "empty"});
  parts.added_tokens.back().content = "\xff";
  expect_contains(message(parts), {"262", "UTF-8"});
  parts.added_tokens.back().content = "<|endoftext|>";
  expect_contains(message(parts), {"262", "another"});
  parts.added_tokens.back() = {.id = 261, .content = "x\ny"};
  expect_contains(message(parts), {"261", "twice"});
  parts.added_tokens.back() = {.id = 1 << 30, .content = "y"};
  expect_contains(message(parts), {"1073741824"});
}

}  // namespace
}  // namespace trireme::data
