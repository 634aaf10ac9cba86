// When load_newest must not step back: the newest step is not damaged, it only cannot be read here or now.
#include <gtest/gtest.h>

#include <array>
#include <exception>
#include <new>

#include "checkpoint/load.h"
#include "checkpoint/verify.h"
#include "runtime/error.h"
#include "runtime/local_ranks.h"
#include "tests/checkpoint/sample.h"
#include "tests/failing_files.h"
#include "tests/temporary_directory.h"

namespace trireme::checkpoint {
namespace {

using runtime::Error;
using runtime::ErrorKind;
using runtime::real_files;
using tests::Cut;
using tests::FailingFiles;
using tests::RankState;
using tests::save_sample;
using Names = std::vector<std::string>;

// Steps 1 and 2, both good.
void save_two(const std::string& directory) {
  save_sample(directory, 1, 1, Cut::rows, 2);
  save_sample(directory, 2, 2, Cut::rows, 2);
}

void rewrite_manifest(const std::string& step, const std::string& part, const std::string& replacement) {
  const std::string path = step + "/manifest.json";
  write_text_atomically(real_files(), path, tests::rewritten(read_text(real_files(), path), part, replacement));
}

// Memory that runs out, or another library's exception, when a file is opened.
template <typename Exception>
class ThrowingFiles : public FailingFiles {
 public:
  std::unique_ptr<runtime::File> open(const std::string&) override { throw Exception(); }
};

struct Unspoken : std::exception {
  const char* what() const noexcept override { return "unspoken"; }
};

// The kind that both ranks throw when rank 1 loads through `files`; that it is one message is checked.
ErrorKind thrown_kind(const std::string& directory, runtime::Files& files, const std::string& part) {
  std::array<std::string, 2> messages;
  std::array<ErrorKind, 2> kinds{};
  runtime::run_local_ranks(2, [&](runtime::Communicator& communicator) {
    const auto rank = static_cast<size_t>(communicator.rank());
    RankState state(Cut::columns, communicator.rank(), 2);
    try {
      load_newest(rank == 1 ? files : real_files(), communicator, directory, state.slices);
    } catch (const Error& error) {
      messages[rank] = error.what();
      kinds[rank] = error.kind();
    }
  });
  EXPECT_EQ(messages[0], messages[1]);
  EXPECT_EQ(kinds[0], kinds[1]);
  EXPECT_NE(messages[0].find(part), std::string::npos) << messages[0];
  return kinds[0];
}

TEST(Fallback, GoesNoHigherThanTheLastStepThatIsWanted) {
  const tests::TemporaryDirectory directory;
  save_two(directory.path());
  save_sample(directory.path(), 5, 3, Cut::rows, 2);
  runtime::run_local_ranks(2, [&](runtime::Communicator& communicator) {
    const auto loaded = [&](int64_t last_step) {
      RankState state(Cut::columns, communicator.rank(), 2);
      const std::optional<Loaded> newest =
          load_newest(real_files(), communicator, directory.path(), state.slices, last_step);
      return newest ? newest->step : 0;
    };
    EXPECT_EQ(loaded(5), 5);
    EXPECT_EQ(loaded(4), 2);
    EXPECT_EQ(loaded(2), 2);
    EXPECT_EQ(loaded(0), 0) << "there is none";
  });
}

TEST(Fallback, NotFromANewerVersionOrAnUnknownFeature) {
  const tests::TemporaryDirectory directory;
  save_two(directory.path());
  const std::string step = step_directory(directory.path(), 2);
  rewrite_manifest(step, "\"major\":1,\"minor\":0", "\"major\":3,\"minor\":1");
  EXPECT_EQ(thrown_kind(directory.path(), real_files(), "has format version 3.1; this program reads version 1.0"),
            ErrorKind::version);
  EXPECT_THROW(verify(real_files(), step), Error) << "it is not damaged";
  try {
    save_sample(directory.path(), 2, 3);
    ADD_FAILURE() << "a step of a newer version was replaced";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::version) << error.what();
  }
  EXPECT_EQ(tests::entries(directory.path()), (Names{"step-000000001", "step-000000002"}));
  rewrite_manifest(step, "\"major\":3", "\"major\":1");
  rewrite_manifest(step, "\"required_features\":[]", "\"required_features\":[\"quantised\"]");
  EXPECT_EQ(thrown_kind(directory.path(), real_files(), "the feature \"quantised\" of format version 1.1"),
            ErrorKind::version);
}

TEST(Fallback, NotFromAMemoryOrAnInternalError) {
  const tests::TemporaryDirectory directory;
  save_two(directory.path());
  ThrowingFiles<std::bad_alloc> no_memory;
  EXPECT_EQ(thrown_kind(directory.path(), no_memory, "rank 1: out of memory"), ErrorKind::device);
  ThrowingFiles<Unspoken> faulty;
  EXPECT_EQ(thrown_kind(directory.path(), faulty, "rank 1: unspoken"), ErrorKind::internal);
}

// Whatever access fails, on the rank that lists the steps or on another: the good step 2 is loaded or nothing is.
TEST(Fallback, NotFromAGoodStepThatCannotBeReadNow) {
  const tests::TemporaryDirectory directory;
  save_two(directory.path());
  for (int failing_rank : {0, 1}) {
    for (bool for_good : {false, true}) {
      int64_t failures = 0;
      for (bool failed = true; failed; failures += failed) {
        FailingFiles files({.call = failures, .for_good = for_good});
        failed = false;
        runtime::run_local_ranks(2, [&](runtime::Communicator& communicator) {
          RankState state(Cut::columns, communicator.rank(), 2);
          const bool fails = communicator.rank() == failing_rank;
          try {
            const auto loaded = load_newest(fails ? files : real_files(), communicator, directory.path(), state.slices);
            EXPECT_EQ(loaded->step, 2) << "access " << failures;
            EXPECT_TRUE(state.holds(2));
          } catch (const Error& error) {
            EXPECT_EQ(error.kind(), ErrorKind::io) << error.what();
            if (fails) failed = true;
          }
        });
        EXPECT_EQ(failed, files.calls() > failures) << "a failure was swallowed";
      }
      EXPECT_GT(failures, 10);  // list, three files, their slices
    }
  }
}

// verify must not call damaged what it could not read, or a save would put a good step aside.
TEST(Fallback, VerifyThrowsWhatSaysNothingAboutTheStep) {
  const tests::TemporaryDirectory directory;
  save_two(directory.path());
  const std::string step = step_directory(directory.path(), 2);
  int64_t failures = 0;
  for (;; ++failures) {
    FailingFiles files({.call = failures});
    try {
      EXPECT_EQ(verify(files, step), Names{}) << "access " << failures;
      break;
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::io);
    }
  }
  EXPECT_GE(failures, 6);  // three files opened and read
}

}  // namespace
}  // namespace trireme::checkpoint
