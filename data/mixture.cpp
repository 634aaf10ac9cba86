#include "data/mixture.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <numeric>
#include <string>

#include "data/keyed_permutation.h"
#include "runtime/error.h"

namespace trireme::data {
namespace {

constexpr uint64_t kWhole = uint64_t{1} << 32;

/// Gives one more to each of the `left` sources with the largest remainders, the first ones of equals.
template <typename Count, typename Remainder>
void give_rest(std::vector<Count>& counts, const std::vector<Remainder>& remainders, uint64_t left) {
  assert(left <= counts.size());
  std::vector<size_t> order(counts.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::stable_sort(order, [&](size_t a, size_t b) { return remainders[a] > remainders[b]; });
  for (size_t i = 0; i < left; ++i) ++counts[order[i]];
}

/// Weights as whole parts of kWhole: from here on all is exact.
std::vector<uint64_t> parts_of(const std::vector<double>& weights) {
  const double sum = std::accumulate(weights.begin(), weights.end(), 0.0);
  std::vector<uint64_t> parts;
  std::vector<double> remainders;
  for (const double weight : weights) {
    if (!(weight / sum >= Mixture::kLeastPart)) {
      throw runtime::Error(runtime::ErrorKind::usage,
                           "data set " + std::to_string(parts.size() + 1) + " of " + std::to_string(weights.size()) +
                               " is less than 1/32,768 of the mixture, which is the least: give --data-weights, or "
                               "leave it out");
    }
    const double exact = weight / sum * static_cast<double>(kWhole);
    parts.push_back(static_cast<uint64_t>(exact));
    remainders.push_back(exact - std::floor(exact));
  }
  give_rest(parts, remainders, kWhole - std::accumulate(parts.begin(), parts.end(), uint64_t{0}));
  return parts;
}

}  // namespace

Mixture::Mixture(const std::vector<double>& weights, uint64_t seed) : seed_(seed), parts_(parts_of(weights)) {}

/// The share of a source grows by 2 or more in a block, and each count is off its share by less than 1: so counts of
/// later blocks are larger, although the method of largest remainders alone does not promise it (the Alabama paradox).
std::vector<int64_t> Mixture::counts_after(int64_t blocks) const {
  assert(blocks >= 0 && blocks <= (int64_t{1} << 32));
  constexpr uint64_t kDivisor = kWhole / kBlockSamples;
  std::vector<int64_t> counts;
  std::vector<uint64_t> remainders;
  for (const uint64_t part : parts_) {
    // (blocks * part) / kDivisor without overflow: part may be 2^32, where there is one source.
    const uint64_t number = static_cast<uint64_t>(blocks);
    const uint64_t low = number * (part % kDivisor);
    counts.push_back(static_cast<int64_t>(number * (part / kDivisor) + low / kDivisor));
    remainders.push_back(low % kDivisor);
  }
  const int64_t given = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  give_rest(counts, remainders, static_cast<uint64_t>(blocks * kBlockSamples - given));
  return counts;
}

Mixture::Pick Mixture::pick(int64_t sample) {
  assert(sample >= 0 && sample < kMostSamples);
  if (parts_.size() == 1) return {.source = 0, .sample = sample};
  if (sample / kBlockSamples != block_) enter_block(sample / kBlockSamples);
  const Place place = places_[static_cast<size_t>(sample % kBlockSamples)];
  return {.source = place.source, .sample = begins_[place.source] + place.rank};
}

/// A small permutation deals the block's samples out: those that it sends to the first source's stretch of [0,
/// kBlockSamples) are that source's, and so on. Each source's samples are then counted in order.
void Mixture::enter_block(int64_t block) {
  begins_ = counts_after(block);
  std::vector<int64_t> ends = counts_after(block + 1);
  for (size_t i = 0; i < ends.size(); ++i) ends[i] += (i == 0 ? 0 : ends[i - 1]) - begins_[i];
  const KeyedPermutation deal(kBlockSamples,
                              {.seed = seed_, .use = PermutationUse::mixture, .epoch = static_cast<uint64_t>(block)});
  std::vector<uint32_t> ranks(parts_.size(), 0);
  places_.resize(kBlockSamples);
  for (int64_t i = 0; i < kBlockSamples; ++i) {
    const auto source = static_cast<uint32_t>(std::ranges::upper_bound(ends, deal(i)) - ends.begin());
    places_[static_cast<size_t>(i)] = {.source = source, .rank = ranks[source]++};
  }
  block_ = block;
}

}  // namespace trireme::data
