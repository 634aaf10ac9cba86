#include "data/bpe_encoder.h"

#include <algorithm>
#include <map>
#include <random>

#include "tests/data/prepared_text.h"
#include "tests/data/small_tokenizer.h"

namespace trireme::data {
namespace {

using runtime::ErrorKind;

std::vector<int32_t> encode(const BpeEncoder& encoder, const std::vector<std::string>& pieces) {
  std::string text;
  std::vector<uint32_t> ends;
  for (const std::string& piece : pieces) ends.push_back(static_cast<uint32_t>((text += piece).size()));
  std::vector<int32_t> ids;
  encoder.encode(text, ends, ids);
  return ids;
}

/// The rule as it stands in the papers and in tiktoken: look at all pairs, join the first of the best, begin again.
std::vector<int32_t> encode_naively(const BpeVocabulary& vocabulary, const std::string& piece) {
  const TokenIds ids = token_ids(vocabulary);
  const bool by_rank = vocabulary.mode == BpeMode::ranks;
  if ((by_rank || vocabulary.ignore_merges) && ids.contains(piece)) return {ids.at(piece)};
  std::map<std::pair<int32_t, int32_t>, size_t> ranks;
  for (size_t i = 0; i < vocabulary.merges.size(); ++i) ranks[vocabulary.merges[i]] = i;
  std::vector<std::string> parts;
  for (const char byte : piece) parts.emplace_back(1, byte);
  for (;;) {
    size_t best = SIZE_MAX;
    size_t place = 0;
    for (size_t i = 0; i + 1 < parts.size(); ++i) {
      size_t rank = SIZE_MAX;
      if (by_rank) {
        const auto found = ids.find(parts[i] + parts[i + 1]);
        if (found != ids.end()) rank = static_cast<size_t>(found->second);
      } else {
        const auto found = ranks.find({ids.at(parts[i]), ids.at(parts[i + 1])});
        if (found != ranks.end()) rank = found->second;
      }
      if (rank < best) {
        best = rank;
        place = i;
      }
    }
    if (best == SIZE_MAX) break;
    parts[place] += parts[place + 1];
    parts.erase(parts.begin() + static_cast<std::ptrdiff_t>(place) + 1);
  }
  std::vector<int32_t> result;
  for (const std::string& part : parts) result.push_back(ids.at(part));
  return result;
}

/// Bytes in any order among the ids, with holes, and tokens of the first `letters` letters, which joined at random are
/// often joined in several ways and not always reached by the merges.
BpeVocabulary random_vocabulary(BpeMode mode, int letters, std::mt19937& random) {
  BpeVocabulary vocabulary = byte_vocabulary();
  std::vector<std::string> joined;
  for (int i = 0; i < letters; ++i) joined.emplace_back(1, static_cast<char>('a' + i));
  for (int i = 0; i < 60; ++i) {
    const std::string left = joined[random() % joined.size()];
    const std::string right = joined[random() % joined.size()];
    if (left.size() + right.size() > 20) continue;
    const TokenIds ids = token_ids(vocabulary);
    const std::pair<int32_t, int32_t> merge = {ids.at(left), ids.at(right)};
    if (std::ranges::find(vocabulary.merges, merge) != vocabulary.merges.end()) continue;
    if (!ids.contains(left + right)) joined.push_back(left + right);
    add_merge(vocabulary, left, right);
  }
  vocabulary.mode = mode;
  if (mode == BpeMode::ranks) {
    vocabulary.merges.clear();
    for (int hole = 0; hole < 5; ++hole) vocabulary.tokens.emplace_back();
    std::ranges::shuffle(vocabulary.tokens, random);
    while (vocabulary.tokens.back().empty()) vocabulary.tokens.pop_back();
  } else {
    std::ranges::shuffle(vocabulary.merges, random);
  }
  return vocabulary;
}

std::string random_piece(size_t bytes, int letters, std::mt19937& random) {
  std::string piece;
  while (piece.size() < bytes) {
    const bool strange = random() % 50 == 0;
    piece += static_cast<char>(strange ? random() : 'a' + random() % static_cast<unsigned>(letters));
  }
  return piece;
}

TEST(BpeEncoder, EqualsTheNaiveRuleOnRandomVocabularies) {
  std::mt19937 random(1);
  for (int round = 0; round < 60; ++round) {
    const int letters = 1 + round % 4;
    BpeVocabulary vocabulary = random_vocabulary(round % 3 == 0 ? BpeMode::ranks : BpeMode::merges, letters, random);
    vocabulary.ignore_merges = round % 3 == 1;
    const BpeEncoder encoder(vocabulary);
    std::vector<std::string> pieces(vocabulary.tokens);  // each token by itself
    std::erase(pieces, "");
    for (size_t bytes : {1, 2, 3, 5, 8, 12, 13, 14, 15, 16, 17, 20, 31, 64, 127, 128, 129, 200}) {
      pieces.push_back(random_piece(bytes, letters, random));
    }
    for (const std::string& piece : pieces) {
      ASSERT_EQ(encode(encoder, {piece}), encode_naively(vocabulary, piece)) << "round " << round << ", " << piece;
    }
    std::vector<int32_t> expected;
    for (const std::string& piece : pieces)
      std::ranges::copy(encode_naively(vocabulary, piece), std::back_inserter(expected));
    EXPECT_EQ(encode(encoder, pieces), expected) << "pieces beside each other, round " << round;
  }
}

TEST(BpeEncoder, PiecesAreWholeOnlyIfTheMergesSaySo) {
  BpeVocabulary vocabulary = byte_vocabulary();
  add_merge(vocabulary, "b", "c");   // 256
  add_merge(vocabulary, "a", "b");   // 257
  add_merge(vocabulary, "ab", "c");  // 258, and no way there: bc is joined first
  EXPECT_EQ(encode(BpeEncoder(vocabulary), {"abc", "ab"}), (std::vector<int32_t>{'a', 256, 257}));
  vocabulary.ignore_merges = true;
  EXPECT_EQ(encode(BpeEncoder(vocabulary), {"abc", "xabc"}), (std::vector<int32_t>{258, 'x', 'a', 256}));
}

TEST(BpeEncoder, EqualRanksAreJoinedFromTheLeft) {
  BpeVocabulary vocabulary = byte_vocabulary();
  vocabulary.mode = BpeMode::ranks;
  vocabulary.tokens.emplace_back("aa");
  const BpeEncoder encoder(vocabulary);
  EXPECT_EQ(encode(encoder, {"aaa", "aaaa"}), (std::vector<int32_t>{256, 'a', 256, 256}));
  const std::vector<int32_t> long_run = encode(encoder, {std::string(1001, 'a')});
  EXPECT_EQ(long_run.size(), 501u);
  EXPECT_EQ(long_run.back(), 'a');
}

TEST(BpeEncoder, AMegabyteOfOneLetterIsNotQuadratic) {
  BpeVocabulary vocabulary = byte_vocabulary();
  for (size_t bytes = 1; bytes < 1024; bytes *= 2)
    add_merge(vocabulary, std::string(bytes, 'a'), std::string(bytes, 'a'));
  // Minutes, if each of the million joins looked at the rest of the piece.
  EXPECT_EQ(encode(BpeEncoder(vocabulary), {std::string(1 << 20, 'a')}), std::vector<int32_t>(1024, 265));
}

TEST(BpeEncoder, ZeroBytesAreNoPadding) {
  BpeVocabulary vocabulary = byte_vocabulary();
  const std::string zero(1, '\0');
  add_merge(vocabulary, "a", zero);
  add_merge(vocabulary, zero, zero);
  EXPECT_EQ(encode(BpeEncoder(vocabulary), {"a", "a" + zero, zero, zero + zero}),
            (std::vector<int32_t>{'a', 256, 0, 257}));
}

TEST(BpeEncoder, RefusesUnsoundVocabularies) {
  const auto message = [](const BpeVocabulary& vocabulary) {
    return error_of(ErrorKind::data, [&] { BpeEncoder{vocabulary}; });
  };
  BpeVocabulary vocabulary = byte_vocabulary();
  vocabulary.tokens['x'] = "";
  expect_contains(message(vocabulary), {"byte 120"});
  vocabulary = byte_vocabulary();
  vocabulary.tokens.emplace_back("a");
  expect_contains(message(vocabulary), {"97", "256", "same bytes"});
  for (const auto& merge : std::vector<std::pair<int32_t, int32_t>>{{'a', 256}, {-1, 'a'}, {'a', 1 << 30}}) {
    vocabulary = byte_vocabulary();
    vocabulary.merges = {merge};
    expect_contains(message(vocabulary), {"merge 1", "not tokens"});
  }
  vocabulary = byte_vocabulary();
  vocabulary.merges = {{'a', ' '}};
  expect_contains(message(vocabulary), {"merge 1", "aĠ", "no token"});
  vocabulary = byte_vocabulary();
  add_merge(vocabulary, "a", "b");
  vocabulary.merges.push_back(vocabulary.merges[0]);
  expect_contains(message(vocabulary), {"merge 2", "twice"});
  vocabulary = byte_vocabulary();
  vocabulary.tokens.emplace_back(5000, 'a');
  expect_contains(message(vocabulary), {"5000"});
}

}  // namespace
}  // namespace trireme::data
