#include "data/batch_loader.h"

#include <map>

#include "data/sample_order.h"
#include "runtime/h5.h"
#include "tests/data/prepared_text.h"

namespace trireme::data {
namespace {

using runtime::ErrorKind;

constexpr int64_t kSequence = 8;
constexpr int64_t kBatch = 8;

class Loaders : public testing::Test {
 protected:
  Loaders() : text_(numbered_text(500)), directory_(prepare_text(root_, text_, 64)) {}

  int32_t token(int64_t at) const {
    return at == static_cast<int64_t>(text_.size()) ? 256 : static_cast<unsigned char>(text_[static_cast<size_t>(at)]);
  }

  tests::TemporaryDirectory root_;
  std::string text_;
  std::string directory_;
  TokenDataset dataset_{runtime::real_files(), directory_, "train"};
  std::span<const TokenDataset> sets_{&dataset_, 1};
};

LoaderOptions options_of(int rank, int ranks, int64_t microbatch_size, int64_t first_sample = 0) {
  return {.sequence_length = kSequence,
          .global_batch_size = kBatch,
          .microbatch_size = microbatch_size,
          .rank = rank,
          .ranks = ranks,
          .order = {.seed = 42},
          .first_sample = first_sample};
}

struct Row {
  int64_t sample = 0;
  std::vector<int32_t> tokens;
  std::vector<int32_t> targets;
  bool operator==(const Row&) const = default;
};

void append_rows(const Microbatch& batch, int64_t sequence_length, std::vector<Row>& rows) {
  for (size_t row = 0; row < batch.samples.size(); ++row) {
    const auto begin = static_cast<std::ptrdiff_t>(row) * sequence_length;
    rows.push_back({.sample = batch.samples[row],
                    .tokens = {batch.tokens.begin() + begin, batch.tokens.begin() + begin + sequence_length},
                    .targets = {batch.targets.begin() + begin, batch.targets.begin() + begin + sequence_length}});
  }
}

/// Rows of `steps` steps, of all ranks in rank order within each step.
std::vector<Row> rows_of(const TokenDataset& dataset, int ranks, int64_t microbatch_size, int64_t first_sample,
                         int steps) {
  std::vector<std::unique_ptr<TrainingLoader>> loaders;
  for (int rank = 0; rank < ranks; ++rank) {
    loaders.push_back(std::make_unique<TrainingLoader>(std::span(&dataset, 1),
                                                       options_of(rank, ranks, microbatch_size, first_sample)));
  }
  std::vector<Row> rows;
  for (int step = 0; step < steps; ++step) {
    for (auto& loader : loaders) {
      const std::vector<Microbatch>& batches = loader->next();
      EXPECT_EQ(static_cast<int64_t>(batches.size()), kBatch / (ranks * microbatch_size));
      for (const Microbatch& batch : batches) append_rows(batch, kSequence, rows);
    }
  }
  return rows;
}

TEST_F(Loaders, TrainingGivesTheWindowsOfTheOrder) {
  // 500 tokens and the end of text: 62 windows, so that 20 steps of 8 cross two ends of an epoch.
  const int64_t windows = dataset_.windows(kSequence);
  ASSERT_EQ(windows, 62);
  const std::vector<Row> rows = rows_of(dataset_, 1, 2, 0, 20);
  ASSERT_EQ(rows.size(), 160u);
  for (size_t i = 0; i < rows.size(); ++i) {
    const auto sample = static_cast<int64_t>(i);
    EXPECT_EQ(rows[i].sample, sample);
    const int64_t begin = window_of_sample(sample, windows, 42) * kSequence;
    for (int64_t t = 0; t < kSequence; ++t) {
      ASSERT_EQ(rows[i].tokens[static_cast<size_t>(t)], token(begin + t));
      ASSERT_EQ(rows[i].targets[static_cast<size_t>(t)], token(begin + t + 1));
    }
  }
}

TEST_F(Loaders, TrainingIsTheSameSequenceOnAnyRanksAndMicrobatches) {
  const std::vector<Row> expected = rows_of(dataset_, 1, kBatch, 0, 9);
  for (const int ranks : {1, 2, 4, 8}) {
    for (int64_t microbatch_size = 1; microbatch_size <= kBatch / ranks; microbatch_size *= 2) {
      EXPECT_TRUE(rows_of(dataset_, ranks, microbatch_size, 0, 9) == expected)
          << ranks << " ranks of " << microbatch_size;
    }
  }
}

TEST_F(Loaders, TrainingResumesAtAnySample) {
  const std::vector<Row> expected = rows_of(dataset_, 1, kBatch, 0, 12);
  for (int64_t first_sample = 0; first_sample <= 80; first_sample += 5) {
    const std::vector<Row> rows = rows_of(dataset_, 2, 2, first_sample, 2);
    EXPECT_TRUE(std::equal(rows.begin(), rows.end(), expected.begin() + first_sample)) << first_sample;
  }
}

TEST_F(Loaders, ABatchStaysValidUntilTheNextCall) {
  TrainingLoader loader(sets_, options_of(0, 1, kBatch));
  for (int step = 0; step < 20; ++step) {
    const std::vector<Microbatch>& batches = loader.next();
    const std::vector<int32_t> tokens = batches[0].tokens;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));  // time for a wrong side thread to write over it
    ASSERT_EQ(batches[0].tokens, tokens);
    ASSERT_EQ(batches[0].samples[0], step * kBatch);
  }
  EXPECT_GE(loader.waited_seconds(), 0);
}

TEST_F(Loaders, ALoaderMayEndAtAnyTime) {
  for (int steps = 0; steps < 4; ++steps) {
    TrainingLoader loader(sets_, options_of(0, 1, kBatch));
    for (int step = 0; step < steps; ++step) loader.next();
  }
}

TEST_F(Loaders, ADamagedBlockReachesTheCallerOfNext) {
  // The last shard is damaged after opening: steps that do not touch it are still given.
  const std::string shard = directory_ + "/train-00007.h5";
  const int64_t at = runtime::H5Reader(runtime::real_files(), shard).dataset("/tokens").offset_bytes;
  std::string bytes = read_file(shard);
  bytes[static_cast<size_t>(at)] ^= 1;
  write_file(shard, bytes);

  const int64_t windows = dataset_.windows(kSequence);
  int64_t good_steps = 0;
  for (int64_t sample = 0; (window_of_sample(sample, windows, 42) + 1) * kSequence < 7 * 64; ++sample) {
    good_steps = (sample + 1) / kBatch;
  }
  TrainingLoader loader(sets_, options_of(0, 1, kBatch));
  for (int64_t step = 0; step < good_steps; ++step) EXPECT_EQ(loader.next()[0].samples[0], step * kBatch);
  for (int again = 0; again < 2; ++again) {
    expect_contains(error_of(ErrorKind::data, [&] { loader.next(); }), {shard, "block 0"});
  }
}

TEST_F(Loaders, BatchesThatDoNotDivideAreRefusedWithTheNumbers) {
  expect_contains(error_of(ErrorKind::internal, [&] { TrainingLoader(sets_, options_of(0, 3, 1)); }),
                  {"batch of 8", "microbatches of 1", "3 ranks"});
  expect_contains(error_of(ErrorKind::internal, [&] { TrainingLoader(sets_, options_of(0, 2, 3)); }),
                  {"batch of 8", "microbatches of 3", "2 ranks"});
  expect_contains(error_of(ErrorKind::internal, [&] { TrainingLoader(sets_, options_of(0, 1, 0)); }),
                  {"the microbatch size is 0"});
}

TEST_F(Loaders, DataShorterThanASequenceIsRefusedWithTheNumbers) {
  LoaderOptions options = options_of(0, 1, 1);
  options.sequence_length = 501;
  expect_contains(error_of(ErrorKind::internal, [&] { TrainingLoader(sets_, options); }),
                  {directory_, "501 tokens", "502"});
  options.sequence_length = 500;
  EXPECT_EQ(TrainingLoader(sets_, options).next()[0].targets.back(), 256);
}

TEST_F(Loaders, ValidationCoversEveryTargetOnce) {
  for (const int64_t sequence_length : {1, 7, 8, 100, 499, 500, 600}) {
    for (const int ranks : {1, 2, 3, 4}) {
      std::map<int64_t, int> covered;
      for (int rank = 0; rank < ranks; ++rank) {
        const ValidationOptions options{
            .sequence_length = sequence_length, .microbatch_size = 3, .rank = rank, .ranks = ranks};
        ValidationLoader loader(sets_, options);
        EXPECT_EQ(loader.batches(),
                  ValidationLoader(sets_, {.sequence_length = sequence_length, .microbatch_size = 3, .ranks = ranks})
                      .batches());
        Microbatch batch;
        int64_t batches = 0;
        std::vector<Row> rows;
        for (; loader.next(batch); ++batches) append_rows(batch, sequence_length, rows);
        EXPECT_EQ(batches, loader.batches());
        for (const Row& row : rows) {
          for (int64_t t = 0; t < sequence_length; ++t) {
            const int32_t target = row.targets[static_cast<size_t>(t)];
            if (target == -1) {
              ASSERT_EQ(row.tokens[static_cast<size_t>(t)], 0);
              continue;
            }
            ASSERT_GE(row.sample, 0);
            const int64_t at = row.sample * sequence_length + t;
            ASSERT_EQ(row.tokens[static_cast<size_t>(t)], token(at));
            ASSERT_EQ(target, token(at + 1));
            ++covered[at + 1];
          }
        }
      }
      ASSERT_EQ(covered.size(), 500u) << sequence_length << " on " << ranks;
      EXPECT_EQ(covered.begin()->first, 1);
      for (const auto& [at, times] : covered) ASSERT_EQ(times, 1) << at;
    }
  }
}

TEST_F(Loaders, ValidationCanBeRepeated) {
  ValidationLoader loader(sets_, {.sequence_length = kSequence, .microbatch_size = 4, .rank = 1, .ranks = 2});
  const auto all = [&loader] {
    std::vector<Row> rows;
    Microbatch batch;
    while (loader.next(batch)) append_rows(batch, kSequence, rows);
    return rows;
  };
  const std::vector<Row> first = all();
  Microbatch batch;
  EXPECT_FALSE(loader.next(batch));
  loader.rewind();
  EXPECT_TRUE(all() == first);
}

TEST(ValidationLoader, TheShortestSplitHasOneTarget) {
  const tests::TemporaryDirectory directory;
  const std::string path = prepare_text(directory, "x");
  const TokenDataset dataset(runtime::real_files(), path, "train");
  ValidationLoader loader(std::span(&dataset, 1), {.sequence_length = 4, .microbatch_size = 2});
  Microbatch batch;
  ASSERT_TRUE(loader.next(batch));
  EXPECT_EQ(batch.tokens, (std::vector<int32_t>{'x', 0, 0, 0, 0, 0, 0, 0}));
  EXPECT_EQ(batch.targets, (std::vector<int32_t>{256, -1, -1, -1, -1, -1, -1, -1}));
  EXPECT_EQ(batch.samples, (std::vector<int64_t>{0, -1}));
  EXPECT_FALSE(loader.next(batch));
}

}  // namespace
}  // namespace trireme::data
