#include "data/keyed_permutation.h"

#include <algorithm>
#include <bit>
#include <cassert>

namespace trireme::data {
namespace {

// Four rounds are enough in theory for large domains; tiny ones, of a few bits, need more to mix.
constexpr uint32_t kRounds = 8;

runtime::PhiloxKey round_key(const PermutationKey& key) {
  constexpr runtime::PhiloxCounter kTag = {0x6f726465, 0x72206f66, 0x2073616d, 0x706c6573};  // "order of samples"
  const runtime::PhiloxCounter tag = {kTag[0], kTag[1] ^ static_cast<uint32_t>(key.use), kTag[2] ^ key.source, kTag[3]};
  const runtime::PhiloxCounter bits = runtime::philox(tag, runtime::philox_key(key.seed));
  return {bits[0], bits[1]};
}

}  // namespace

KeyedPermutation::KeyedPermutation(int64_t size, const PermutationKey& key)
    : size_(static_cast<uint64_t>(size)),
      half_bits_(std::max(1, (static_cast<int>(std::bit_width(size_ - 1)) + 1) / 2)),
      half_mask_((uint64_t{1} << half_bits_) - 1),
      epoch_(key.epoch),
      group_(key.group),
      key_(round_key(key)) {
  assert(size >= 1 && key.group < (uint32_t{1} << 24));
}

uint64_t KeyedPermutation::mix(uint64_t right, uint32_t round) const {
  const runtime::PhiloxCounter counter = {static_cast<uint32_t>(right), round | group_ << 8,
                                          static_cast<uint32_t>(epoch_), static_cast<uint32_t>(epoch_ >> 32)};
  return runtime::philox(counter, key_)[0] & half_mask_;
}

int64_t KeyedPermutation::operator()(int64_t value) const {
  auto image = static_cast<uint64_t>(value);
  assert(image < size_);
  do {
    uint64_t left = image >> half_bits_;
    uint64_t right = image & half_mask_;
    for (uint32_t round = 0; round < kRounds; ++round) {
      const uint64_t mixed = left ^ mix(right, round);
      left = right;
      right = mixed;
    }
    image = left << half_bits_ | right;
  } while (image >= size_);
  return static_cast<int64_t>(image);
}

int64_t KeyedPermutation::inverse(int64_t image) const {
  auto value = static_cast<uint64_t>(image);
  assert(value < size_);
  do {
    uint64_t left = value >> half_bits_;
    uint64_t right = value & half_mask_;
    for (uint32_t round = kRounds; round-- > 0;) {
      const uint64_t unmixed = right ^ mix(left, round);
      right = left;
      left = unmixed;
    }
    value = left << half_bits_ | right;
  } while (value >= size_);
  return static_cast<int64_t>(value);
}

}  // namespace trireme::data
