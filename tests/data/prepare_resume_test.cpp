// A `prepare` that is killed anywhere, and the same command again.
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>
#include <thread>

#include "data/bpe_tokenizer.h"
#include "data/prepare.h"
#include "data/prepare_journal.h"
#include "data/tokenizer_files.h"
#include "tests/data/prepared_text.h"
#include "tests/data/small_tokenizer.h"
#include "tests/failing_files.h"
#include "tests/memory_files.h"

namespace trireme::data {
namespace {

using tests::Crash;
using tests::FailingFiles;
using tests::MemoryFiles;

/// A corpus on a disk in memory. The output's directory is on the real disk too: there its lock is.
class PrepareResume : public testing::Test {
 protected:
  PrepareResume() {
    disk_.make_directory(directory_.path());
    std::filesystem::create_directory(output());
    std::string rows;
    for (int i = 0; i < 60; ++i) rows += "{\"text\": \"row number " + std::to_string(i % 40) + "\"}\n";
    write(disk_, "a.jsonl", rows);
    write(disk_, "b.txt", numbered_text(9000));
    write(disk_, "c.txt", "");
    write(disk_, "d.txt", numbered_text(3000) + "end");
    disk_.sync_directory(directory_.path());
  }

  std::string output() const { return directory_ / "dataset"; }
  PrepareOptions options() const {
    return {.inputs = {directory_ / "a.jsonl", directory_ / "b.txt", directory_ / "c.txt", directory_ / "d.txt"},
            .output = output(),
            .text = {.piece_bytes = 1000},
            .drop_duplicates = true,
            .shard_tokens = 4000,
            .threads = 2,
            .journal_bytes = 1};  // after every batch
  }
  void write(MemoryFiles& disk, const std::string& name, const std::string& text) const {
    disk.remove_all(directory_ / name);
    const auto file = disk.create(directory_ / name);
    file->append(std::as_bytes(std::span(text)));
    file->sync();
  }
  std::map<std::string, std::string> content_of(runtime::Files& files) const {
    std::map<std::string, std::string> content;
    for (const std::string& name : files.list(output()))
      content[name] = runtime::read_text(files, output() + "/" + name);
    return content;
  }
  /// What an uninterrupted run writes.
  std::map<std::string, std::string> expected() {
    const auto disk = disk_.copy();
    prepare(*disk, ByteTokenizer(), options());
    return content_of(*disk);
  }
  /// Disk accesses of a run, about: threads may add some.
  int64_t calls() {
    const auto disk = disk_.copy();
    FailingFiles files({}, *disk);
    prepare(files, ByteTokenizer(), options());
    return files.calls();
  }
  /// The disk after a run that died in call `call`; nothing when it did not get so far.
  std::unique_ptr<MemoryFiles> after_death(int64_t call, Crash crash) {
    const auto disk = disk_.copy();
    FailingFiles files({.call = call, .fault = call % 2 == 0 ? tests::Fault::die : tests::Fault::die_after}, *disk);
    try {
      prepare(files, ByteTokenizer(), options());
    } catch (const tests::ProcessDied&) {
    }
    return files.injected().empty() ? nullptr : disk->after(crash, static_cast<uint64_t>(call));
  }

  /// `run`, dead after every `step`-th disk access and called again, gives what it gives undisturbed.
  void expect_no_harm_from_death(const std::function<void(runtime::Files&)>& run, int64_t step) {
    const auto undisturbed = disk_.copy();
    run(*undisturbed);
    const auto whole = content_of(*undisturbed);
    for (int64_t call = 1;; call += step) {
      const auto disk = disk_.copy();
      FailingFiles files({.call = call, .fault = call % 2 == 0 ? tests::Fault::die : tests::Fault::die_after}, *disk);
      try {
        run(files);
      } catch (const tests::ProcessDied&) {
      }
      if (files.injected().empty()) break;
      const auto left =
          disk->after(call % 3 == 0 ? Crash::power_loss : Crash::process_death, static_cast<uint64_t>(call));
      run(*left);
      EXPECT_TRUE(content_of(*left) == whole) << "call " << call;
    }
  }

  tests::TemporaryDirectory directory_;
  MemoryFiles disk_;
};

/// Counts what it encodes.
class CountingTokenizer : public ByteTokenizer {
 public:
  void encode(std::string_view text, std::vector<int32_t>& ids, SpecialTokens special) const override {
    bytes += std::ssize(text);
    ByteTokenizer::encode(text, ids, special);
  }
  mutable std::atomic<int64_t> bytes = 0;
};

TEST_F(PrepareResume, DyingAnywhereChangesNothingInTheResult) {
  const auto whole = expected();
  EXPECT_GE(whole.size(), 5u);
  EXPECT_FALSE(whole.contains(kJournalName));
  int64_t trials = 0;
  int64_t resumed = 0;
  bool is_end = false;
  for (int64_t call = 1; !is_end; call += 11) {
    for (const Crash crash : {Crash::process_death, Crash::power_loss, Crash::power_loss_mixed}) {
      const auto disk = after_death(call, crash);
      is_end = disk == nullptr;
      if (is_end) break;
      const CountingTokenizer tokenizer;
      PrepareOptions again = options();
      again.threads = 1 + static_cast<int>(call % 3);
      prepare(*disk, tokenizer, again);
      EXPECT_TRUE(content_of(*disk) == whole) << "call " << call << ", crash " << static_cast<int>(crash);
      ++trials;
      if (tokenizer.bytes < 9000) ++resumed;  // of 12,000 and some
    }
  }
  EXPECT_GT(trials, 60);
  EXPECT_GT(resumed, trials / 4);
}

TEST_F(PrepareResume, ASecondDeathIsNoWorseThanTheFirst) {
  const auto whole = expected();
  for (const int64_t part : {3, 5, 7}) {
    const auto disk = after_death(calls() * part / 8, Crash::process_death);
    ASSERT_NE(disk, nullptr);
    for (int64_t again = 60;; again += 50) {
      FailingFiles files({.call = again, .fault = tests::Fault::die}, *disk);
      try {
        prepare(files, ByteTokenizer(), options());
        break;
      } catch (const tests::ProcessDied&) {
      }
    }
    EXPECT_TRUE(content_of(*disk) == whole) << part;
  }
}

TEST_F(PrepareResume, AFullDiskLeavesWorkToGoOnWith) {
  const auto whole = expected();
  const auto disk = disk_.copy();
  FailingFiles files({.call = calls() * 3 / 4, .fault = tests::Fault::no_space}, *disk);
  EXPECT_THROW(prepare(files, ByteTokenizer(), options()), runtime::Error);
  EXPECT_TRUE(has_journal(*disk, output()));
  const CountingTokenizer tokenizer;
  prepare(*disk, tokenizer, options());
  EXPECT_TRUE(content_of(*disk) == whole);
  EXPECT_LT(tokenizer.bytes, 9000);
}

TEST_F(PrepareResume, OtherTextOptionsOrJournalsBeginAnew) {
  const auto left = after_death(calls() * 3 / 4, Crash::process_death);
  ASSERT_NE(left, nullptr);
  ASSERT_TRUE(has_journal(*left, output()));
  const auto check = [&](MemoryFiles& disk, const PrepareOptions& changed) {
    const auto fresh = disk.copy();
    fresh->remove_all(output());
    prepare(*fresh, ByteTokenizer(), changed);
    const CountingTokenizer tokenizer;
    prepare(disk, tokenizer, changed);
    EXPECT_GT(tokenizer.bytes, 12000);
    EXPECT_TRUE(content_of(disk) == content_of(*fresh));
  };
  auto disk = left->copy();
  PrepareOptions changed = options();
  changed.validation_fraction = 0.2;
  check(*disk, changed);

  disk = left->copy();
  write(*disk, "d.txt", numbered_text(3000) + "END");
  check(*disk, options());

  disk = left->copy();  // the same documents, but elsewhere in the files
  disk->rename(directory_ / "c.txt", directory_ / "e.txt");
  disk->rename(directory_ / "d.txt", directory_ / "c.txt");
  disk->rename(directory_ / "e.txt", directory_ / "d.txt");
  check(*disk, options());

  disk = left->copy();
  disk->open_for_writing(output() + "/" + kJournalName)->resize(100);
  check(*disk, options());

  disk = left->copy();
  for (const std::string& name : disk->list(output())) {
    if (name.ends_with(".spool")) disk->remove_all(output() + "/" + name);
  }
  check(*disk, options());
}

TEST_F(PrepareResume, DamageIsNotCarriedOn) {
  const auto whole = expected();
  std::map<std::string, int> damaged;  // by the ending of the file's name
  for (const int64_t sixteenth : {6, 9, 12, 14, 15}) {
    const auto left = after_death(calls() * sixteenth / 16, Crash::process_death);
    ASSERT_NE(left, nullptr);
    ASSERT_TRUE(has_journal(*left, output()));
    for (const std::string& name : left->list(output())) {
      const auto disk = left->copy();
      const auto file = disk->open_for_writing(output() + "/" + name);
      if (file->size_bytes() == 0) continue;
      const std::string ending = name.substr(name.rfind('.'));
      std::byte byte;
      const int64_t at = ending == ".h5" ? file->size_bytes() / 2 : ending == ".json" ? 150 : 0;
      file->read_at(at, std::span(&byte, 1));
      byte ^= std::byte{1};
      file->write_at(at, std::span(&byte, 1));
      testing::internal::CaptureStderr();
      const CountingTokenizer tokenizer;
      prepare(*disk, tokenizer, options());
      const std::string said = testing::internal::GetCapturedStderr();
      EXPECT_TRUE(content_of(*disk) == whole) << name;
      if (said.find("is damaged (" + name) == std::string::npos) {  // the journal does not count on this file
        EXPECT_NE(said.find("going on with"), std::string::npos) << name << ": " << said;
        continue;
      }
      expect_contains(said, {output() + ": the unfinished `prepare` there is damaged (" + name, "): beginning anew"});
      EXPECT_GT(tokenizer.bytes, 12000) << name;
      ++damaged[ending];
    }
  }
  EXPECT_GT(damaged[".spool"], 2);
  EXPECT_GT(damaged[".documents"], 2);
  EXPECT_GT(damaged[".h5"], 2);
  EXPECT_EQ(damaged[".json"], 5);
}

TEST_F(PrepareResume, WhyItBeginsAnewIsSaid) {
  const auto left = after_death(calls() * 3 / 4, Crash::process_death);
  ASSERT_NE(left, nullptr);
  const auto said = [&](MemoryFiles& disk, const PrepareOptions& changed) {
    testing::internal::CaptureStderr();
    prepare(disk, ByteTokenizer(), changed);
    return testing::internal::GetCapturedStderr();
  };
  PrepareOptions changed = options();
  changed.validation_fraction = 0.2;
  expect_contains(said(*left->copy(), changed), {"of other text or options is replaced"});

  auto disk = left->copy();
  disk->open_for_writing(output() + "/" + kJournalName)->resize(100);
  expect_contains(said(*disk, options()), {"is damaged (prepare.json): beginning anew"});

  disk = left->copy();
  for (const std::string& name : disk->list(output())) {
    if (name.ends_with(".spool")) disk->open_for_writing(output() + "/" + name)->resize(1);
  }
  expect_contains(said(*disk, options()), {"-0000", ".h5.spool is cut short): beginning anew"});

  disk = left->copy();
  disk->remove_all(output() + "/train-00000.h5");
  expect_contains(said(*disk, options()), {"is damaged (train-00000.h5 is missing): beginning anew"});
}

TEST_F(PrepareResume, ATokenizersFileIsNoObstacle) {
  const BpeTokenizer tokenizer(small_parts());
  expect_no_harm_from_death([&](runtime::Files& files) { prepare(files, tokenizer, options()); }, 7);
}

TEST_F(PrepareResume, TheOnlyDocumentIsCutAtTheSamePlace) {
  PrepareOptions only = options();
  only.inputs = {directory_ / "b.txt"};  // the cut lies in the last of nine pieces
  expect_no_harm_from_death([&](runtime::Files& files) { prepare(files, ByteTokenizer(), only); }, 3);
}

TEST_F(PrepareResume, ATokenizerIsLearnedOnce) {
  int64_t learned = 0;
  TokenizerLearner learner{.settings = {{"vocabulary_size", 262}}, .has_safe_cuts = true, .learn = [&] {
                             ++learned;
                             return std::make_unique<BpeTokenizer>(small_parts());
                           }};
  expect_no_harm_from_death([&](runtime::Files& files) { prepare(files, learner, options()); }, 5);

  const auto disk = disk_.copy();
  FailingFiles files({.call = calls() * 3 / 4, .fault = tests::Fault::die}, *disk);
  learned = 0;
  EXPECT_THROW(prepare(files, learner, options()), tests::ProcessDied);
  EXPECT_EQ(learned, 1);
  const auto other = disk->copy();
  EXPECT_FALSE(prepare(*disk, learner, options()).already_prepared);
  EXPECT_EQ(learned, 1) << "the interrupted run had learned it";
  EXPECT_FALSE(disk->exists(output() + "/" + kLearnedName));
  EXPECT_TRUE(prepare(*disk, learner, options()).already_prepared);
  EXPECT_EQ(learned, 1) << "dataset.json tells from what it was learned";
  learner.settings["vocabulary_size"] = 300;
  expect_contains(error_of(runtime::ErrorKind::usage, [&] { prepare(*disk, learner, options()); }),
                  {"--output", "learned", "remove"});
  EXPECT_EQ(learned, 1);

  prepare(*other->copy(), learner, options());
  EXPECT_EQ(learned, 2) << "with other settings";
  prepare(*other, ByteTokenizer(), options());
  EXPECT_FALSE(other->exists(output() + "/" + kTokenizerFile)) << "what a learning run left is nobody's";
}

TEST_F(PrepareResume, WhatHindersIsToldBeforeLearning) {
  int64_t learned = 0;
  const TokenizerLearner learner{.settings = {{"vocabulary_size", 262}}, .has_safe_cuts = true, .learn = [&] {
                                   ++learned;
                                   return std::make_unique<BpeTokenizer>(small_parts());
                                 }};
  const auto disk = disk_.copy();
  disk->make_directory(output());
  write(*disk, "dataset/tokenizer.json", "somebody's");
  expect_contains(error_of(runtime::ErrorKind::usage, [&] { prepare(*disk, learner, options()); }),
                  {"--output", "tokenizer.json", "name a new"});
  EXPECT_EQ(learned, 0);
}

/// A real process that is killed: what it left is on the real disk.
TEST(PrepareKilled, GoesOnFromItsJournal) {
  const tests::TemporaryDirectory directory;
  write_file(directory / "a.txt", numbered_text(600000));
  PrepareOptions options{.inputs = {directory / "a.txt"},
                         .output = directory / "dataset",
                         .text = {.piece_bytes = 4000},
                         .shard_tokens = 100000,
                         .threads = 2,
                         .journal_bytes = 1};
  const std::string journal = options.output + "/" + kJournalName;
  int kills = 0;
  for (const int wait_ms : {1, 5, 20}) {
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      try {
        prepare(runtime::real_files(), ByteTokenizer(), options);
      } catch (...) {
        _exit(1);
      }
      _exit(0);
    }
    int status = 0;
    while (waitpid(child, &status, WNOHANG) == 0) {  // still at work
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
      if (!std::filesystem::exists(journal)) continue;
      std::this_thread::sleep_for(std::chrono::milliseconds(wait_ms));
      kill(child, SIGKILL);
      waitpid(child, &status, 0);
      kills += WIFSIGNALED(status) ? 1 : 0;
      break;
    }
  }
  const CountingTokenizer tokenizer;
  const PrepareReport report = prepare(runtime::real_files(), tokenizer, options);
  if (kills == 0) GTEST_SKIP() << "every process was faster than its killer";
  EXPECT_TRUE(report.already_prepared || tokenizer.bytes < 600000);
  const std::string killed = options.output;
  options.output = directory / "whole";
  prepare(runtime::real_files(), ByteTokenizer(), options);
  const std::vector<std::string> names = runtime::real_files().list(options.output);
  EXPECT_EQ(runtime::real_files().list(killed), names);
  for (const std::string& name : names) {
    EXPECT_TRUE(read_file(killed + "/" + name) == read_file(options.output + "/" + name)) << name;
  }
}

}  // namespace
}  // namespace trireme::data
