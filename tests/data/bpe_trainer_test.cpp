#include "data/bpe_trainer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "data/byte_alphabet.h"
#include "data/splitter.h"
#include "runtime/digest.h"
#include "tests/data/prepared_text.h"
#include "tests/data/trained_merges.h"

namespace trireme::data {
namespace {

using Pieces = std::map<std::string, int64_t>;

/// The definition: all pairs are counted anew for each merge.
BpeVocabulary train_naively(const Pieces& pieces, const BpeTrainerOptions& options) {
  std::map<std::string, int32_t> ids;  // bytes -> id
  std::vector<std::string> tokens(options.special_tokens.size());
  std::set<std::string> specials;
  for (const std::string& special : options.special_tokens) specials.insert(from_printable(special).value_or(""));
  const auto id_of = [&](const std::string& bytes) {
    const auto [found, is_new] = ids.emplace(bytes, static_cast<int32_t>(tokens.size()));
    if (is_new) tokens.emplace_back();
    tokens[static_cast<size_t>(found->second)] = bytes;
    return found->second;
  };
  std::map<std::string, std::string> alphabet;  // UTF-8 sorts like the code points
  for (int byte = 0; byte < 256; ++byte)
    alphabet[to_printable(std::string(1, static_cast<char>(byte)))] = static_cast<char>(byte);
  for (const auto& [printable, byte] : alphabet) id_of(byte);
  std::vector<std::pair<std::vector<int32_t>, int64_t>> words;
  for (const auto& [piece, count] : pieces) {
    words.emplace_back();
    for (const char byte : piece) words.back().first.push_back(id_of(std::string(1, byte)));
    words.back().second = count;
  }
  BpeVocabulary result;
  while (static_cast<int64_t>(tokens.size()) < options.vocabulary_size) {
    std::map<std::pair<int32_t, int32_t>, int64_t> counts;
    for (const auto& [word, count] : words) {
      for (size_t i = 1; i < word.size(); ++i) counts[{word[i - 1], word[i]}] += count;
    }
    std::pair<int32_t, int32_t> best;
    int64_t highest = 0;
    for (const auto& [pair, count] : counts) {
      const auto [left, right] = pair;
      if (specials.contains(tokens[static_cast<size_t>(left)] + tokens[static_cast<size_t>(right)])) continue;
      if (count > highest) best = pair;
      highest = std::max(highest, count);
    }
    if (highest < std::max<int64_t>(1, options.min_frequency)) break;
    result.merges.push_back(best);
    const int32_t joined = id_of(tokens[static_cast<size_t>(best.first)] + tokens[static_cast<size_t>(best.second)]);
    for (auto& [word, count] : words) {
      for (size_t i = 1; i < word.size(); ++i) {
        if (word[i - 1] != best.first || word[i] != best.second) continue;
        word[i - 1] = joined;
        word.erase(word.begin() + static_cast<ptrdiff_t>(i));
      }
    }
  }
  result.tokens = tokens;
  return result;
}

PieceCounts counts_of(const Pieces& pieces) {
  PieceCounts counts;
  for (const auto& [piece, count] : pieces) counts.add(piece, count);
  return counts;
}

TEST(BpeTrainer, DoesWhatTheDefinitionSays) {
  for (uint32_t seed = 0; seed < 300; ++seed) {
    std::mt19937 random(seed);
    const auto below = [&](uint32_t bound) { return static_cast<uint32_t>(random() % bound); };
    const uint32_t letters = 1 + below(4);  // few: overlaps and ties
    const uint32_t longest = seed % 50 == 0 ? 2000 : 1 + below(40);
    const uint32_t highest = 1 + below(3);
    Pieces pieces;
    for (uint32_t piece = 0; piece < 1 + seed % 30; ++piece) {
      std::string bytes(1 + below(longest), ' ');
      for (char& byte : bytes) byte = "ab\xff "[below(letters)];
      pieces[bytes] += 1 + below(highest);
    }
    BpeTrainerOptions options{.vocabulary_size = int64_t{257} + below(60), .min_frequency = int64_t{below(4)}};
    if (seed % 3 == 0) options.special_tokens = {"<|end|>", "ab", "bba"};  // of which two are in the text
    options.vocabulary_size += static_cast<int64_t>(options.special_tokens.size());
    EXPECT_EQ(train_bpe(counts_of(pieces), options), train_naively(pieces, options)) << "seed " << seed;
  }
}

TEST(BpeTrainer, JoinsOverlappingPairsFromTheLeft) {
  const BpeVocabulary vocabulary =
      train_bpe(counts_of({{"aaaaa", 3}, {"abab", 2}}), {.vocabulary_size = 1000, .min_frequency = 1});
  ASSERT_GE(vocabulary.merges.size(), 3u);
  EXPECT_EQ(vocabulary.tokens[256], "aa");
  EXPECT_EQ(vocabulary.tokens[257], "ab");   // 4 times; aa aa: 3
  EXPECT_EQ(vocabulary.tokens[258], "aaa");  // (a, aa) would have larger ids: aa+a is (aa, a)
}

TEST(BpeTrainer, CountsBeyond32Bits) {
  const int64_t many = int64_t{1} << 40;
  const BpeVocabulary vocabulary =
      train_bpe(counts_of({{"ab", (int64_t{1} << 32) + 1}, {"cd", many}, {"ce", many + 1}, {"fg", int64_t{1} << 31}}),
                {.vocabulary_size = 260});
  EXPECT_EQ(std::vector(vocabulary.tokens.begin() + 256, vocabulary.tokens.end()),
            (std::vector<std::string>{"ce", "cd", "ab", "fg"}));
}

TEST(BpeTrainer, SpecialTokensHaveTheFirstIds) {
  const BpeVocabulary vocabulary =
      train_bpe(counts_of({{"abc", 5}}), {.vocabulary_size = 300, .special_tokens = {"<|endoftext|>", "ab"}});
  EXPECT_EQ(vocabulary.tokens.size(), 260u);
  EXPECT_EQ(vocabulary.tokens[0], "");
  EXPECT_EQ(vocabulary.tokens[1], "") << "not learned, so that text never becomes it";
  EXPECT_EQ(vocabulary.tokens[2], "!");
  EXPECT_EQ(vocabulary.tokens[257], "\xad");
  EXPECT_EQ(vocabulary.tokens[258], "bc");
  EXPECT_EQ(vocabulary.tokens[259], "abc");
  EXPECT_EQ(vocabulary.merges.size(), 2u);
}

TEST(BpeTrainer, PassesOverTokensBeyondTheLimit) {
  const Pieces pieces = {{std::string(100'000, '-'), 3}, {"ab", 2}};
  const BpeVocabulary vocabulary = train_bpe(counts_of(pieces), {.vocabulary_size = 2000});
  check_vocabulary(vocabulary, "learned");
  const TokenIds ids = token_ids(vocabulary);
  EXPECT_TRUE(ids.contains(std::string(kTokenBytesLimit, '-')));
  EXPECT_TRUE(ids.contains("ab")) << "what is left is learned";
}

TEST(BpeTrainer, NamesWhatIsWrongWithItsOptions) {
  const auto error = [](const BpeTrainerOptions& options) {
    return error_of(runtime::ErrorKind::usage, [&] { train_bpe(counts_of({{"ab", 5}}), options); });
  };
  expect_contains(error({.vocabulary_size = 256, .special_tokens = {"<end>"}}), {"256", "257"});
  expect_contains(error({.vocabulary_size = 300, .special_tokens = {"<end>", "<end>"}}), {"<end>", "twice"});
  expect_contains(error({.vocabulary_size = 300, .special_tokens = {""}}), {"empty"});
  expect_contains(error({.vocabulary_size = 300, .special_tokens = {"b"}}), {"\"b\"", "byte"});
  EXPECT_EQ(train_bpe({}, {.vocabulary_size = 300}).tokens.size(), 256u);
}

/// So many different words of few letters that several threads take part in the first merges.
std::string random_text(size_t words, uint32_t seed, char between = ' ') {
  std::mt19937 random(seed);
  std::string text;
  for (size_t word = 0; word < words; ++word) {
    text += between;
    for (uint32_t letters = 1 + random() % 12; letters > 0; --letters) text += "eta"[random() % 3];
  }
  return text;
}

// tests/data/golden/bpe_merges.txt is what tests/parity/bpe_merges.py made of Hugging Face's trainer.
TEST(BpeTrainer, LearnsWhatHuggingFaceLearned) {
  const char* directory = std::getenv("TRIREME_TEST_DATA");
  const std::filesystem::path texts = directory != nullptr ? directory : "../shared/data";
  std::ifstream fixture("tests/data/golden/bpe_merges.txt");
  std::string line;
  int rows = 0;
  while (std::getline(fixture, line)) {
    if (line.empty() || line[0] == '#') continue;
    std::istringstream fields(line);
    std::string file, text_digest, pattern, merges_digest;
    int64_t vocabulary_size = 0;
    ASSERT_TRUE(fields >> file >> text_digest >> pattern >> vocabulary_size >> merges_digest) << line;
    ++rows;
    if (!std::filesystem::exists(texts / file)) GTEST_SKIP() << (texts / file) << " is missing";
    const std::string text = read_file(texts / file);
    ASSERT_EQ(runtime::sha256(text), text_digest) << file << " is not what the fixture was made of";
    PieceCounts counts;
    counts.add_text(*make_splitter(pattern_by_name(pattern)), text);
    const BpeVocabulary vocabulary = train_bpe(
        counts, {.vocabulary_size = vocabulary_size, .special_tokens = {"<|endoftext|>"}, .min_frequency = 2});
    EXPECT_EQ(runtime::sha256(merges_text(vocabulary)), merges_digest) << line;
  }
  EXPECT_EQ(rows, 4);
}

TEST(BpeTrainer, ThreadsAndOrderDoNotMatter) {
  const auto splitter = make_splitter("[^ ]+");  // " " alone is a piece: PCRE2 is slow on larger patterns
  // And a piece so long that several threads would share it, if they could.
  const std::string text = random_text(120'000, 1) + ' ' + random_text(40'000, 2, '-');
  PieceCounts whole;
  whole.add_text(*splitter, text);
  const BpeVocabulary expected = train_bpe(whole, {.vocabulary_size = 600});
  for (const int threads : {2, 5}) {
    EXPECT_EQ(train_bpe(whole, {.vocabulary_size = 600, .threads = threads}), expected) << threads;
  }
  std::vector<PieceCount> pieces = whole.sorted();
  std::ranges::shuffle(pieces, std::mt19937(2));
  PieceCounts shuffled;
  for (const PieceCount& piece : pieces) shuffled.add(piece.piece, piece.count);
  EXPECT_EQ(train_bpe(shuffled, {.vocabulary_size = 600, .threads = 3}), expected);
}

}  // namespace
}  // namespace trireme::data
