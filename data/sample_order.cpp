#include "data/sample_order.h"

#include <algorithm>
#include <bit>
#include <cassert>

#include "runtime/philox.h"

namespace trireme::data {
namespace {

// Four rounds are enough in theory for large domains; tiny ones, of a few bits, need more to mix.
constexpr uint32_t kRounds = 8;

// Dropout and initial weights use Philox under the seed itself. The order has a key of its own, so that its random bits
// are never theirs.
runtime::PhiloxKey order_key(uint64_t seed) {
  constexpr runtime::PhiloxCounter kTag = {0x6f726465, 0x72206f66, 0x2073616d, 0x706c6573};  // "order of samples"
  const runtime::PhiloxCounter bits = runtime::philox(kTag, runtime::philox_key(seed));
  return {bits[0], bits[1]};
}

}  // namespace

int64_t window_of_sample(int64_t sample, int64_t windows, uint64_t seed) {
  assert(sample >= 0 && windows >= 1);
  const auto epoch = static_cast<uint64_t>(sample / windows);
  const auto limit = static_cast<uint64_t>(windows);
  const int half_bits = std::max(1, (static_cast<int>(std::bit_width(limit - 1)) + 1) / 2);
  const uint64_t half_mask = (uint64_t{1} << half_bits) - 1;
  const runtime::PhiloxKey key = order_key(seed);

  auto value = static_cast<uint64_t>(sample % windows);
  do {
    uint64_t left = value >> half_bits;
    uint64_t right = value & half_mask;
    for (uint32_t round = 0; round < kRounds; ++round) {
      const runtime::PhiloxCounter counter = {static_cast<uint32_t>(right), round, static_cast<uint32_t>(epoch),
                                              static_cast<uint32_t>(epoch >> 32)};
      const uint64_t mixed = left ^ (runtime::philox(counter, key)[0] & half_mask);
      left = right;
      right = mixed;
    }
    value = (left << half_bits) | right;
  } while (value >= limit);
  return static_cast<int64_t>(value);
}

}  // namespace trireme::data
