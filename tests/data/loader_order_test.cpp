// Which samples a run trains on, and in which order, whatever the ranks, the microbatches, the resumes and the changes
// of the batch size.
#include <gtest/gtest.h>

#include <memory>

#include "data/batch_loader.h"
#include "tests/data/prepared_text.h"

namespace trireme::data {
namespace {

constexpr int64_t kSequence = 8;

/// `text` as a data set of its own.
std::string prepared(const tests::TemporaryDirectory& root, const std::string& name, const std::string& text) {
  write_file(root / name + ".txt", text);
  prepare(runtime::real_files(), ByteTokenizer(),
          {.inputs = {root / name + ".txt"},
           .output = root / name,
           .validation_fraction = 0,
           .text = {.separator = "\n"},
           .shard_tokens = 100});
  return root / name;
}

struct Row {
  int64_t sample = 0;
  std::vector<int32_t> tokens;
  std::vector<int32_t> targets;
  std::vector<int32_t> positions;
  std::vector<int32_t> first_keys;
  bool operator==(const Row&) const = default;
};

void append_rows(const Microbatch& batch, std::vector<Row>& rows) {
  for (size_t row = 0; row < batch.samples.size(); ++row) {
    const auto part = [&](const std::vector<int32_t>& values) {
      if (values.empty()) return values;
      const auto begin = values.begin() + static_cast<std::ptrdiff_t>(row) * kSequence;
      return std::vector<int32_t>(begin, begin + kSequence);
    };
    rows.push_back({.sample = batch.samples[row],
                    .tokens = part(batch.tokens),
                    .targets = part(batch.targets),
                    .positions = part(batch.positions),
                    .first_keys = part(batch.first_keys)});
  }
}

class LoaderOrder : public testing::Test {
 protected:
  LoaderOrder() {
    datasets_.emplace_back(runtime::real_files(), prepared(root_, "first", numbered_text(700)), "train");
    std::string uneven = "\ny\nzz\n";
    uneven.insert(0, 200, 'x');
    datasets_.emplace_back(runtime::real_files(), prepared(root_, "second", uneven), "train");
    datasets_.emplace_back(runtime::real_files(), prepared(root_, "third", numbered_text(300)), "train");
  }

  /// Rows of `steps` steps of `batch` sequences from `first_sample` on, of all ranks in rank order within a step.
  std::vector<Row> rows(const LoaderOptions& options, int ranks, int64_t batch, int64_t first_sample, int steps) const {
    std::vector<std::unique_ptr<TrainingLoader>> loaders;
    for (int rank = 0; rank < ranks; ++rank) {
      LoaderOptions own = options;
      own.sequence_length = kSequence;
      own.global_batch_size = batch;
      own.microbatch_size = batch / ranks % 2 == 0 ? 2 : 1;
      own.rank = rank;
      own.ranks = ranks;
      own.first_sample = first_sample;
      loaders.push_back(std::make_unique<TrainingLoader>(std::span(datasets_), own));
    }
    std::vector<Row> all;
    for (int step = 0; step < steps; ++step) {
      for (auto& loader : loaders) {
        for (const Microbatch& microbatch : loader->next()) append_rows(microbatch, all);
      }
    }
    return all;
  }

  tests::TemporaryDirectory root_;
  std::vector<TokenDataset> datasets_;
};

std::vector<LoaderOptions> orders() {
  return {{.order = {.seed = 5}},
          {.order = {.seed = 5, .weights = {0.5, 0.3, 0.2}}},
          {.order = {.seed = 5, .shuffle = Shuffle::Kind::blocked}},
          {.order = {.seed = 5, .shuffle = Shuffle::Kind::blocked, .weights = {1, 1, 1}}, .document_mask = true}};
}

TEST_F(LoaderOrder, IsTheSameOnAnyNumberOfRanks) {
  for (const LoaderOptions& options : orders()) {
    const std::vector<Row> expected = rows(options, 1, 24, 0, 10);
    for (size_t i = 0; i < expected.size(); ++i) ASSERT_EQ(expected[i].sample, static_cast<int64_t>(i));
    for (const int ranks : {2, 3, 8}) EXPECT_TRUE(rows(options, ranks, 24, 0, 10) == expected) << ranks << " ranks";
  }
}

TEST_F(LoaderOrder, GoesOnAfterAResumeOnOtherRanks) {
  for (const LoaderOptions& options : orders()) {
    const std::vector<Row> expected = rows(options, 1, 24, 0, 10);
    for (const int steps : {1, 4, 9}) {
      std::vector<Row> both = rows(options, 2, 24, 0, steps);
      const std::vector<Row> rest = rows(options, 3, 24, 24 * steps, 10 - steps);
      both.insert(both.end(), rest.begin(), rest.end());
      EXPECT_TRUE(both == expected) << "resumed after step " << steps;
    }
  }
}

TEST_F(LoaderOrder, GoesOnAfterAChangeOfTheBatchSize) {
  for (const LoaderOptions& options : orders()) {
    const std::vector<Row> expected = rows(options, 1, 24, 0, 10);
    std::vector<Row> all = rows(options, 8, 24, 0, 3);
    for (const Row& row : rows(options, 3, 12, 72, 4)) all.push_back(row);
    for (const Row& row : rows(options, 1, 60, 120, 2)) all.push_back(row);
    EXPECT_TRUE(all == expected);
  }
}

TEST_F(LoaderOrder, OneDataSetOfAMixtureIsThatDataSet) {
  const TokenDataset& first = datasets_.front();
  TrainingSamples samples(std::span(&first, 1), kSequence, {.seed = 5});
  for (int64_t sample = 0; sample < 500; ++sample) {
    EXPECT_EQ(samples.at(sample).window, window_of_sample(sample, first.windows(kSequence), 5));
  }
}

TEST_F(LoaderOrder, EverySetOfAMixtureGoesThroughItsOwnEpochs) {
  TrainingSamples samples({datasets_}, kSequence, {.seed = 5, .weights = {3, 1, 2}});
  std::vector<int64_t> next(datasets_.size(), 0);
  for (int64_t sample = 0; sample < 2000; ++sample) {
    const TrainingSamples::Place place = samples.at(sample);
    const int64_t windows = datasets_[place.source].windows(kSequence);
    ASSERT_EQ(place.window, window_of_sample(next[place.source]++, windows, 5, place.source)) << sample;
  }
  for (const int64_t count : next) EXPECT_GT(count, 250);
}

TEST_F(LoaderOrder, ADocumentMaskFollowsTheEndsOfText) {
  LoaderOptions options{.order = {.seed = 5}};
  const std::vector<Row> plain = rows(options, 1, 24, 0, 6);
  options.document_mask = true;
  const std::vector<Row> masked = rows(options, 1, 24, 0, 6);
  int64_t ends = 0;
  for (size_t i = 0; i < plain.size(); ++i) {
    ASSERT_EQ(masked[i].tokens, plain[i].tokens);
    EXPECT_TRUE(plain[i].positions.empty() && plain[i].first_keys.empty());
    int32_t begin = 0;
    for (size_t t = 0; t < kSequence; ++t) {
      ASSERT_EQ(masked[i].first_keys[t], begin);
      ASSERT_EQ(masked[i].positions[t], static_cast<int32_t>(t) - begin);
      const bool is_end = plain[i].tokens[t] == 256;
      ASSERT_EQ(masked[i].targets[t], is_end ? -1 : plain[i].targets[t]);
      if (is_end) begin = static_cast<int32_t>(t) + 1;
      ends += is_end ? 1 : 0;
    }
  }
  EXPECT_GT(ends, 20);
}

TEST_F(LoaderOrder, ValidationGoesThroughAllSetsOneAfterTheOther) {
  for (const bool document_mask : {false, true}) {
    std::vector<Row> separate;
    for (const TokenDataset& dataset : datasets_) {
      ValidationLoader loader(std::span(&dataset, 1),
                              {.sequence_length = kSequence, .microbatch_size = 1, .document_mask = document_mask});
      for (Microbatch batch; loader.next(batch);) append_rows(batch, separate);
    }
    for (size_t i = 0; i < separate.size(); ++i) separate[i].sample = static_cast<int64_t>(i);
    for (const int ranks : {1, 2, 3}) {
      std::vector<ValidationLoader> loaders;
      for (int rank = 0; rank < ranks; ++rank) {
        const ValidationOptions options{.sequence_length = kSequence,
                                        .microbatch_size = 4,
                                        .rank = rank,
                                        .ranks = ranks,
                                        .document_mask = document_mask};
        loaders.emplace_back(std::span(datasets_), options);
      }
      std::vector<Row> together;
      for (int64_t batch = 0; batch < loaders[0].batches(); ++batch) {
        Microbatch microbatch;
        for (ValidationLoader& loader : loaders) {
          ASSERT_TRUE(loader.next(microbatch));
          append_rows(microbatch, together);
        }
      }
      while (!together.empty() && together.back().sample < 0) {
        EXPECT_EQ(together.back().targets, std::vector<int32_t>(kSequence, -1));
        together.pop_back();
      }
      EXPECT_TRUE(together == separate) << ranks << " ranks, document mask " << document_mask;
    }
  }
}

}  // namespace
}  // namespace trireme::data
