#include "runtime/digest.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <vector>

namespace trireme::runtime {
namespace {

std::span<const std::byte> bytes_of(std::string_view text) {
  return std::as_bytes(std::span(text));
}

std::vector<std::byte> random_bytes(size_t count) {
  std::mt19937 random(7);
  std::vector<std::byte> bytes(count);
  for (std::byte& byte : bytes) byte = static_cast<std::byte>(random());
  return bytes;
}

// The definition, one bit at a time.
uint32_t crc32c_by_bits(std::span<const std::byte> bytes) {
  uint32_t crc = 0xffffffff;
  for (std::byte byte : bytes) {
    crc ^= static_cast<uint32_t>(byte);
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78 : 0);
  }
  return ~crc;
}

TEST(Crc32c, KnownAnswers) {
  // RFC 3720, appendix B.4, and the usual check value of "123456789".
  const std::vector<std::byte> zeros(32, std::byte{0});
  const std::vector<std::byte> ones(32, std::byte{0xff});
  EXPECT_EQ(crc32c(zeros), 0x8a9136aau);
  EXPECT_EQ(crc32c(ones), 0x62a8ab43u);
  EXPECT_EQ(crc32c(bytes_of("123456789")), 0xe3069283u);
  EXPECT_EQ(crc32c({}), 0u);
}

TEST(Crc32c, InstructionAndTableMatchDefinitionAtEveryLengthAndAlignment) {
  const std::vector<std::byte> bytes = random_bytes(40000);  // several rounds of the interleaved streams
  for (size_t begin : {0, 1, 5}) {
    for (size_t count : {0, 1, 7, 8, 9, 63, 4096, 12287, 12288, 12289, 24580, 36863, 39990}) {
      const std::span<const std::byte> part(bytes.data() + begin, count);
      EXPECT_EQ(crc32c(part), crc32c_by_bits(part)) << begin << " " << count;
      EXPECT_EQ(crc32c_by_table(part), crc32c_by_bits(part)) << begin << " " << count;
    }
  }
}

TEST(Crc32c, ContinuesFromPieces) {
  const std::vector<std::byte> bytes = random_bytes(30001);
  const std::span<const std::byte> all(bytes);
  EXPECT_EQ(crc32c(all.subspan(13001), crc32c(all.first(13001))), crc32c(all));
}

TEST(Crc32c, CombinesTheSumsOfParts) {
  const std::vector<std::byte> bytes = random_bytes(70001);
  const std::span<const std::byte> all(bytes);
  for (size_t cut : {0, 1, 2, 3, 1000, 4096, 65536, 70000, 70001}) {
    EXPECT_EQ(crc32c_combine(crc32c(all.first(cut)), crc32c(all.subspan(cut)), std::ssize(all.subspan(cut))),
              crc32c(all))
        << cut;
  }
  // Of more zeros than 32 bits count: the sum of twice as many is that of two halves, from 1 byte on.
  uint32_t zeros = crc32c(std::vector<std::byte>(1));
  for (int64_t count = 1; count < int64_t{1} << 40; count *= 2) zeros = crc32c_combine(zeros, zeros, count);
  const uint32_t less = crc32c_combine(zeros, crc32c(std::vector<std::byte>(1)), 1);
  EXPECT_EQ(less, crc32c_combine(crc32c(std::vector<std::byte>(1)), zeros, int64_t{1} << 40));
}

TEST(Xxh3, KnownAnswerAndSensitivity) {
  const Hash128 empty = xxh3_128({});  // the library's documented value of no input, seed 0
  EXPECT_EQ(empty.high, 0x99aa06d3014798d8u);
  EXPECT_EQ(empty.low, 0x6001c324468d497fu);
  EXPECT_NE(xxh3_128(bytes_of("trireme")), xxh3_128(bytes_of("triremf")));
}

TEST(Xxh3, OfPiecesIsThatOfTheWhole) {
  const std::vector<std::byte> bytes = random_bytes(5000);  // XXH3 has other rules up to 16, 128 and 240 bytes
  Xxh3Stream stream;
  EXPECT_EQ(stream.finish(), xxh3_128({}));
  for (size_t count : {1, 16, 17, 128, 129, 240, 241, 1024, 5000}) {
    const std::span<const std::byte> all = std::span(bytes).first(count);
    for (size_t piece : {size_t{1}, size_t{7}, count}) {
      for (size_t begin = 0; begin < count; begin += piece) {
        stream.update(all.subspan(begin, std::min(piece, count - begin)));
        EXPECT_EQ(stream.peek(), xxh3_128(all.first(std::min(begin + piece, count))));
      }
      EXPECT_EQ(stream.finish(), xxh3_128(all)) << count << " in pieces of " << piece;
    }
  }
}

TEST(Sha256, KnownAnswersWholeAndInPieces) {
  // FIPS 180-4 examples.
  EXPECT_EQ(sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  Sha256 digest;
  digest.update(bytes_of("a"));
  digest.update(bytes_of(""));
  digest.update(bytes_of("bc"));
  EXPECT_EQ(digest.finish(), sha256("abc"));
}

}  // namespace
}  // namespace trireme::runtime
