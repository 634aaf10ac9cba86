#include "data/tokenizer_files.h"

#include <numeric>

#include "data/bpe_tokenizer.h"
#include "data/splitter.h"
#include "data/tokenizer_json.h"
#include "tests/data/gpt2_files.h"
#include "tests/data/prepared_text.h"
#include "tests/data/small_tokenizer.h"

namespace trireme::data {
namespace {

using runtime::ErrorKind;
using runtime::real_files;

std::string base64(const std::string& bytes) {
  constexpr char kDigits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t bits = 0;
    for (size_t j = 0; j < 3; ++j)
      bits = bits << 8 | (i + j < bytes.size() ? static_cast<unsigned char>(bytes[i + j]) : 0);
    for (size_t j = 0; j < 4; ++j) text += i + j <= bytes.size() ? kDigits[bits >> (18 - 6 * j) & 63] : '=';
  }
  return text;
}

/// The bytes and three tokens more, as tiktoken writes them.
std::string small_ranks() {
  BpeVocabulary vocabulary = byte_vocabulary();
  vocabulary.tokens.insert(vocabulary.tokens.end(), {"ab", "abc", " the"});
  std::string text;
  for (size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    text += base64(vocabulary.tokens[id]) + " " + std::to_string(id) + "\n";
  }
  return text;
}

class TokenizerFiles : public testing::Test {
 protected:
  /// The message of read_tokenizer for `text` in a file of that name.
  std::string refusal(const std::string& name, const std::string& text) {
    write_file(directory_ / name, text);
    const std::string message = error_of(ErrorKind::data, [&] { read_tokenizer(real_files(), directory_ / name); });
    expect_contains(message, {directory_ / name});
    return message;
  }

  tests::TemporaryDirectory directory_;
};

TEST_F(TokenizerFiles, ReadsTokenizerJsonAndItsDirectory) {
  write_file(directory_ / "t/tokenizer.json", tokenizer_json(small_parts()));
  EXPECT_EQ(read_tokenizer(real_files(), directory_ / "t/tokenizer.json"), small_parts());
  EXPECT_EQ(read_tokenizer(real_files(), directory_ / "t"), small_parts());
}

TEST_F(TokenizerFiles, ReadsGpt2sTwoFiles) {
  if (!has_gpt2_files()) GTEST_SKIP() << "SKIPPED: no " << gpt2_directory() << "; set TRIREME_TEST_DATA";
  const TokenizerParts parts = read_tokenizer(real_files(), gpt2_directory());
  EXPECT_EQ(parts.vocabulary.merges.size(), 50000u);
  EXPECT_EQ(parts.vocabulary.tokens.size(), 50256u);
  EXPECT_EQ(parts.vocabulary.tokens[262], " the");
  EXPECT_EQ(parts.pattern, kGpt2Pattern);
  EXPECT_EQ(parts.added_tokens, (std::vector<AddedToken>{{.id = 50256, .content = "<|endoftext|>"}}));
  EXPECT_EQ(parse_tokenizer_json(tokenizer_json(parts), "tokenizer.json"), parts);
}

TEST_F(TokenizerFiles, DamagedGpt2FilesAreErrors) {
  const auto message = [&](const std::string& vocab, const std::string& merges) {
    write_file(directory_ / "vocab.json", vocab);
    write_file(directory_ / "merges.txt", merges);
    return error_of(ErrorKind::data, [&] { read_tokenizer(real_files(), directory_ / "."); });
  };
  expect_contains(message("{", ""), {"vocab.json", "damaged"});
  expect_contains(message("[]", ""), {"vocab.json"});
  expect_contains(message("{\"a\":0}", ""), {"vocab.json", "<|endoftext|>", "--end-of-text"});
  expect_contains(message("{\"<|endoftext|>\":0}", "#version: 0.2\na b c\n"), {"merges.txt, line 2"});
  expect_contains(message("{\"<|endoftext|>\":0}", "#version: 0.2\na b\n"), {"merge 1"});
  expect_contains(message("{\"<|endoftext|>\":0}", ""), {"byte 0"});
}

TEST_F(TokenizerFiles, ReadsRankFiles) {
  write_file(directory_ / "cl100k_base.tiktoken", small_ranks());
  const TokenizerParts parts = read_tokenizer(real_files(), directory_ / "cl100k_base.tiktoken");
  EXPECT_EQ(parts.vocabulary.mode, BpeMode::ranks);
  EXPECT_EQ(parts.vocabulary.tokens[258], " the");
  EXPECT_EQ(parts.pattern, kTiktokenCl100kPattern);
  EXPECT_EQ(find_added_token(parts, "<|endofprompt|>")->id, 100276);
  EXPECT_EQ(BpeTokenizer(parts).end_of_text(), 100257);
  EXPECT_EQ(parse_tokenizer_json(tokenizer_json(parts), "tokenizer.json"), parts);
}

TEST_F(TokenizerFiles, ReadsLlama3sTokenizerModel) {
  write_file(directory_ / "tokenizer.model", small_ranks());
  const TokenizerParts parts = read_tokenizer(real_files(), directory_ / ".");
  EXPECT_EQ(parts.added_tokens.size(), 256u);
  EXPECT_EQ(parts.begin_of_text, "<|begin_of_text|>");
  EXPECT_EQ(parts.end_of_text, "<|end_of_text|>");
  EXPECT_EQ(find_added_token(parts, "<|eot_id|>")->id, 259 + 9);
  EXPECT_EQ(find_added_token(parts, "<|reserved_special_token_250|>")->id, 259 + 255);
}

TEST_F(TokenizerFiles, RankFilesOfUnknownNamesNeedOne) {
  const std::string path = directory_ / "mine.tiktoken";
  write_file(path, small_ranks());
  expect_contains(error_of(ErrorKind::usage, [&] { read_tokenizer(real_files(), path); }), {path, "o200k_base"});
  const TokenizerParts parts =
      read_tokenizer(real_files(), path, {.end_of_text = "<|endofprompt|>", .rank_vocabulary = "o200k_base"});
  EXPECT_EQ(parts.pattern, kO200kPattern);
  EXPECT_EQ(parts.end_of_text, "<|endofprompt|>");
}

TEST_F(TokenizerFiles, DamagedRankFilesAreErrors) {
  const std::string good = small_ranks();
  const auto lines = std::count(good.begin(), good.end(), '\n');
  for (const char* line : {"YWI=", "YWI= x", "YWI= -1", "YWI= 99999999999999999999", "YWI= 2000000", "YW! 300",
                           "YWI 300", " 300", "YWI= 7", "YWI= 300 1", "==== 300"}) {
    expect_contains(refusal("r50k_base.tiktoken", good + line + "\n"), {"line " + std::to_string(lines + 1)});
  }
  expect_contains(refusal("r50k_base.tiktoken", good + "YWI= 300\n"), {"same bytes"});
  expect_contains(refusal("r50k_base.tiktoken", good + "eHl6 50256\n"), {"50256", "<|endoftext|>"});
  expect_contains(refusal("r50k_base.tiktoken", good.substr(0, good.find('\n', good.size() / 2) + 1)), {"byte"});
  expect_contains(refusal("tokenizer.model", std::string("\n\x0e\n\x05<unk>\x15\0\0\0", 14)), {"line 2", "tiktoken"});
}

TEST_F(TokenizerFiles, PathsWithoutATokenizerAreNamed) {
  const std::string missing = directory_ / "nowhere";
  expect_contains(error_of(ErrorKind::usage, [&] { read_tokenizer(real_files(), missing); }), {missing, "byte"});
  write_file(directory_ / "empty/file.txt", "");
  expect_contains(error_of(ErrorKind::usage, [&] { read_tokenizer(real_files(), directory_ / "empty"); }),
                  {directory_ / "empty", "tokenizer.json", "merges.txt"});
}

TEST_F(TokenizerFiles, OpensWhatADescriptionNames) {
  EXPECT_EQ(open_tokenizer(real_files(), {{"kind", "byte"}}, directory_ / ".")->description(),
            (boost::json::object{{"kind", "byte"}}));
  const BpeTokenizer tokenizer(small_parts());
  write_file(directory_ / "tokenizer.json", tokenizer_json(small_parts()));
  EXPECT_EQ(open_tokenizer(real_files(), tokenizer.description(), directory_ / ".")->digest(), tokenizer.digest());

  const auto message = [&](const boost::json::object& description) {
    return error_of(ErrorKind::data, [&] { open_tokenizer(real_files(), description, directory_ / "."); });
  };
  TokenizerParts other = small_parts();
  other.added_tokens[0].rstrip = true;
  const boost::json::object foreign = BpeTokenizer(other).description();
  expect_contains(message(foreign), {directory_ / "./tokenizer.json", foreign.at("sha256").as_string().c_str(),
                                     tokenizer.description().at("sha256").as_string().c_str()});
  expect_contains(message({{"kind", "bpe"}}), {"missing"});
  expect_contains(message({{"kind", "runes"}}), {"runes", "byte"});
  expect_contains(message({{"type", 3}}), {"kind"});
  std::filesystem::remove(directory_ / "tokenizer.json");
  expect_contains(message(tokenizer.description()), {directory_ / "./tokenizer.json", "missing"});
}

TEST_F(TokenizerFiles, WarnsOfOtherUnicodeTables) {
  TokenizerParts parts = small_parts();
  parts.pattern = kGpt2Pattern;
  write_file(directory_ / "tokenizer.json", tokenizer_json(parts));
  boost::json::object description = BpeTokenizer(parts).description();
  const auto warning = [&] {
    testing::internal::CaptureStderr();
    open_tokenizer(real_files(), description, directory_ / ".");
    return testing::internal::GetCapturedStderr();
  };
  EXPECT_EQ(warning(), "");
  description["unicode_version"] = "12.1";
  expect_contains(warning(), {"warning", "tokenizer.json", "\"12.1\"", "\"16.0\""});
}

TEST_F(TokenizerFiles, TheOptionIsByteOrAPath) {
  EXPECT_EQ(tokenizer_from_option(real_files(), "byte")->vocabulary_size(), 257);
  write_file(directory_ / "tokenizer.json", tokenizer_json(small_parts()));
  EXPECT_EQ(tokenizer_from_option(real_files(), directory_ / "tokenizer.json")->vocabulary_size(), 262);
  expect_contains(error_of(ErrorKind::usage, [] { tokenizer_from_option(real_files(), "bites"); }),
                  {"--tokenizer", "bites", "byte"});
}

}  // namespace
}  // namespace trireme::data
