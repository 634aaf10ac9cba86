#include "data/training_samples.h"

#include <algorithm>

#include "data/tokenizer.h"
#include "runtime/error.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;

namespace {

std::vector<int64_t> windows_of(std::span<const TokenDataset> datasets, int64_t sequence_length) {
  std::vector<int64_t> windows;
  for (const TokenDataset& dataset : datasets) {
    windows.push_back(dataset.windows(sequence_length));
    if (windows.back() >= 1) continue;
    throw Error(ErrorKind::internal, dataset.name() + " has " + std::to_string(dataset.tokens()) +
                                         " tokens, and a sequence with its last target takes " +
                                         std::to_string(sequence_length + 1));
  }
  return windows;
}

std::vector<double> weights_of(const OrderOptions& options, const std::vector<int64_t>& windows) {
  if (options.weights.empty()) return {windows.begin(), windows.end()};
  if (options.weights.size() == windows.size()) return options.weights;
  throw Error(ErrorKind::internal,
              std::to_string(options.weights.size()) + " weights for " + std::to_string(windows.size()) + " data sets");
}

}  // namespace

void check_same_tokenizer(std::span<const TokenDataset> datasets) {
  for (const TokenDataset& dataset : datasets) {
    const TokenDataset& first = datasets.front();
    if (tokenizer_digest(dataset.tokenizer_description()) == tokenizer_digest(first.tokenizer_description())) continue;
    throw Error(ErrorKind::usage, first.name() + " and " + dataset.name() +
                                      " were prepared with different tokenizers: prepare both with the same one");
  }
}

TrainingSamples::TrainingSamples(std::span<const TokenDataset> datasets, int64_t sequence_length,
                                 const OrderOptions& options)
    : datasets_(datasets),
      sequence_length_(sequence_length),
      options_(options),
      windows_(windows_of(datasets, sequence_length)),
      mixture_(weights_of(options, windows_), options.seed) {
  check_same_tokenizer(datasets);
  for (const TokenDataset& dataset : datasets) {
    const int64_t window_bytes = sequence_length * runtime::size_bytes(token_dtype(dataset.vocabulary_size()));
    shuffles_.push_back({.kind = options.shuffle,
                         .block_windows = std::max<int64_t>(1, kShuffleBlockBytes / window_bytes),
                         .blocks_in_group = kShuffleGroupBlocks});
  }
}

TrainingSamples::Place TrainingSamples::at(int64_t sample) {
  const auto [source, own_sample] = mixture_.pick(sample);
  return {.source = source,
          .window = window_of_sample(own_sample, windows_[source], options_.seed, source, shuffles_[source])};
}

}  // namespace trireme::data
