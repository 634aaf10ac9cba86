// CRC-32C by the SSE4.2 instruction in three interleaved streams, or by a table where the machine lacks it.
#include <nmmintrin.h>

#include <array>
#include <cstring>

#include "runtime/digest.h"

namespace trireme::runtime {
namespace {

constexpr uint32_t kPolynomial = 0x82f63b78;  // Castagnoli, bits reversed
using Table = std::array<uint32_t, 256>;

constexpr Table kByteTable = [] {
  Table table{};
  for (uint32_t byte = 0; byte < 256; ++byte) {
    uint32_t crc = byte;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? kPolynomial : 0);
    table[byte] = crc;
  }
  return table;
}();

uint32_t by_table(const std::byte* bytes, size_t count, uint32_t crc) {
  for (size_t i = 0; i < count; ++i) crc = (crc >> 8) ^ kByteTable[(crc ^ static_cast<uint32_t>(bytes[i])) & 0xff];
  return crc;
}

// The instruction has a latency of three cycles and a throughput of one, so three streams run at once. Their sums are
// joined by advancing a sum over the next stream's length of zero bytes, which is linear in its bits: four tables.
constexpr size_t kStreamBytes = 4096;
using AdvanceTables = std::array<Table, 4>;

AdvanceTables make_advance_tables() {
  std::array<uint32_t, 32> bits{};
  for (size_t bit = 0; bit < 32; ++bit) {
    uint32_t crc = uint32_t{1} << bit;
    for (size_t i = 0; i < kStreamBytes; ++i) crc = (crc >> 8) ^ kByteTable[crc & 0xff];
    bits[bit] = crc;
  }
  AdvanceTables tables{};
  for (size_t part = 0; part < 4; ++part) {
    for (size_t byte = 0; byte < 256; ++byte) {
      for (size_t bit = 0; bit < 8; ++bit) {
        if ((byte >> bit & 1) != 0) tables[part][byte] ^= bits[part * 8 + bit];
      }
    }
  }
  return tables;
}

uint32_t advance(const AdvanceTables& tables, uint32_t crc) {
  return tables[0][crc & 0xff] ^ tables[1][crc >> 8 & 0xff] ^ tables[2][crc >> 16 & 0xff] ^ tables[3][crc >> 24];
}

uint64_t word_at(const std::byte* bytes) {
  uint64_t word;
  std::memcpy(&word, bytes, sizeof word);
  return word;
}

__attribute__((target("sse4.2"))) uint32_t by_instruction(const std::byte* bytes, size_t count, uint32_t crc) {
  static const AdvanceTables kTables = make_advance_tables();
  for (; count >= 3 * kStreamBytes; bytes += 3 * kStreamBytes, count -= 3 * kStreamBytes) {
    uint64_t first = crc;
    uint64_t second = 0;
    uint64_t third = 0;
    for (size_t i = 0; i < kStreamBytes; i += 8) {
      first = _mm_crc32_u64(first, word_at(bytes + i));
      second = _mm_crc32_u64(second, word_at(bytes + kStreamBytes + i));
      third = _mm_crc32_u64(third, word_at(bytes + 2 * kStreamBytes + i));
    }
    crc = advance(kTables, static_cast<uint32_t>(first)) ^ static_cast<uint32_t>(second);
    crc = advance(kTables, crc) ^ static_cast<uint32_t>(third);
  }
  uint64_t rest = crc;
  for (; count >= 8; bytes += 8, count -= 8) rest = _mm_crc32_u64(rest, word_at(bytes));
  return by_table(bytes, count, static_cast<uint32_t>(rest));
}

// Polynomials modulo kPolynomial, with x^0 in the highest bit.
constexpr uint32_t multiply(uint32_t a, uint32_t b) {
  uint32_t product = 0;
  for (uint32_t bit = uint32_t{1} << 31; bit != 0; bit >>= 1) {
    if ((a & bit) != 0) product ^= b;
    b = (b >> 1) ^ ((b & 1) != 0 ? kPolynomial : 0);
  }
  return product;
}

// x^(2^i)
constexpr std::array<uint32_t, 64> kPowers = [] {
  std::array<uint32_t, 64> powers{uint32_t{1} << 30};
  for (size_t i = 1; i < powers.size(); ++i) powers[i] = multiply(powers[i - 1], powers[i - 1]);
  return powers;
}();

}  // namespace

uint32_t crc32c_combine(uint32_t first, uint32_t second, int64_t second_bytes) {
  size_t power = 3;  // a byte is 8 bits
  for (auto bytes = static_cast<uint64_t>(second_bytes); bytes != 0; bytes >>= 1, ++power) {
    if ((bytes & 1) != 0) first = multiply(first, kPowers[power]);
  }
  return first ^ second;
}

uint32_t crc32c(std::span<const std::byte> bytes, uint32_t crc) {
  static const bool kHasInstruction = __builtin_cpu_supports("sse4.2");
  return ~(kHasInstruction ? by_instruction : by_table)(bytes.data(), bytes.size(), ~crc);
}

uint32_t crc32c_by_table(std::span<const std::byte> bytes, uint32_t crc) {
  return ~by_table(bytes.data(), bytes.size(), ~crc);
}

}  // namespace trireme::runtime
