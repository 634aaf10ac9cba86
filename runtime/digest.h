// The three digests: CRC32C for checkpoint slices (speed), XXH3-128 for shard blocks and documents (width), SHA-256 for
// identity.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace trireme::runtime {

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `bytes`, continuing from `crc` (0 at the start). SSE4.2 where the
/// machine has it.
uint32_t crc32c(std::span<const std::byte> bytes, uint32_t crc = 0);
/// The same without the instruction: what crc32c does on machines that lack it.
uint32_t crc32c_by_table(std::span<const std::byte> bytes, uint32_t crc = 0);

/// The CRC-32C of two texts one after the other, from that of each and the length of the second. Costs a microsecond.
uint32_t crc32c_combine(uint32_t first, uint32_t second, int64_t second_bytes);

struct Hash128 {
  uint64_t low = 0;
  uint64_t high = 0;
  bool operator==(const Hash128&) const = default;
};

/// XXH3, 128 bits, seed 0.
Hash128 xxh3_128(std::span<const std::byte> bytes);

/// XXH3-128 of bytes that come in pieces: that of the whole.
class Xxh3Stream {
 public:
  Xxh3Stream();
  ~Xxh3Stream();
  Xxh3Stream(Xxh3Stream&& other) noexcept;
  Xxh3Stream& operator=(Xxh3Stream&& other) noexcept;
  void update(std::span<const std::byte> bytes);
  /// Of all bytes since construction or the last finish(); the stream goes on.
  Hash128 peek() const;
  /// The same, but the stream begins anew.
  Hash128 finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// 64 lower-case hexadecimal digits.
std::string sha256(std::string_view bytes);

/// SHA-256 of bytes that come in pieces.
class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(Sha256&& other) noexcept;
  Sha256& operator=(Sha256&& other) noexcept;
  void update(std::span<const std::byte> bytes);
  /// 64 lower-case hexadecimal digits; call once.
  std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace trireme::runtime
