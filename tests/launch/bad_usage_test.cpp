// The built program under bad command lines: one line on standard error, nothing on standard output, exit code 2.
#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/cuda_device.h"
#include "tests/launch/program.h"

namespace trireme::tests {
namespace {

using Words = std::vector<std::string>;

void expect_usage_error(const Words& words, const std::string& line) {
  const ProgramResult result = run_trireme(words, {.environment = {}, .directory = {}, .timeout_seconds = 20});
  EXPECT_EQ(result.exit_code, 2) << line;
  EXPECT_EQ(result.error, "trireme: error: " + line + "\n");
  EXPECT_EQ(result.output, "") << line;
}

TEST(BadUsage, CommandsAreAskedForAndSuggested) {
  expect_usage_error({}, "no command given; see trireme --help");
  expect_usage_error({"tarin"}, "'tarin' is not a command; did you mean train?");
  expect_usage_error({"--verison"}, "'--verison' is not a command; did you mean --version?");
  expect_usage_error({"sail"}, "'sail' is not a command; see trireme --help");
}

TEST(BadUsage, OptionsGetOneLine) {
  const Words train{"train", "--data", "d", "--run", "r", "--model", "nano"};
  const auto with = [&](const Words& more) {
    Words words = train;
    words.insert(words.end(), more.begin(), more.end());
    return words;
  };
  expect_usage_error(train, "train needs --steps N; see trireme train --help");
  expect_usage_error(with({"--steps"}), "--steps needs a value");
  expect_usage_error(with({"--steps", "ten"}), "--steps: 'ten' is not a whole number");
  expect_usage_error(with({"--leraning-rate", "1"}),
                     "--leraning-rate is not an option of train; did you mean --learning-rate?");
  expect_usage_error(with({"--steps", "5", "--warmup-steps", "5"}),
                     "--warmup-steps 5 leaves nothing of --steps 5: it must be less");
  expect_usage_error(with({"--steps", "5", "now"}),
                     "'now' is out of place: train takes options only; see trireme train --help");
  expect_usage_error(with({"--config", "/nowhere.ini"}),
                     "--config: cannot read /nowhere.ini: No such file or directory");
}

TEST(BadUsage, RanksOfAJobSayItOnce) {
  const ProgramResult result = run_trireme_ranks(2, {"generate", "--model", "m", "--seed", "ten"});
  EXPECT_FALSE(result.timed_out);
  EXPECT_EQ(result.exit_code, 2);
  const std::string line = "trireme: error: --seed: 'ten' is not a whole number\n";
  const size_t first = result.error.find(line);  // mpirun adds words of its own
  ASSERT_NE(first, std::string::npos) << result.error;
  EXPECT_EQ(result.error.find(line, first + 1), std::string::npos) << result.error;
}

TEST(Program, VersionAndHelpGoToStandardOutput) {
  const ProgramResult version = run_trireme({"--version"});
  EXPECT_EQ(version.exit_code, 0);
  EXPECT_EQ(version.output.rfind("trireme 0.", 0), 0u) << version.output;
  EXPECT_NE(version.output.find("\n" + runtime::cuda_description() + "\n"), std::string::npos) << version.output;
  EXPECT_EQ(version.error, "");
  for (const Words& words : {Words{"--help"}, {"train", "--help"}, {"checkpoint", "verify", "-h"}}) {
    const ProgramResult help = run_trireme(words);
    EXPECT_EQ(help.exit_code, 0);
    EXPECT_EQ(help.output.rfind("trireme ", 0), 0u) << help.output;
    EXPECT_EQ(help.error, "");
  }
}

TEST(Program, FullStandardOutputIsAFailure) {
  const ProgramResult result = run_command({"sh", "-c", "exec \"$0\" --help > /dev/full", TRIREME_PROGRAM},
                                           {.environment = {}, .directory = {}});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.error, "trireme: error: cannot write to standard output\n");
}

/// OMP_DISPLAY_ENV makes libgomp say, as it is loaded, how it will wait: once for every start of the program.
TEST(Program, RestartsOnceUnlessTheUserChoseHowToWait) {
  const auto spin_counts = [](const Words& settings) {
    // A given OPENBLAS_CORETYPE leaves the waiting as the only reason for a restart.
    Words words = {"env", "-u", "GOMP_SPINCOUNT", "OMP_DISPLAY_ENV=verbose", "OPENBLAS_CORETYPE=Prescott"};
    words.insert(words.end(), settings.begin(), settings.end());
    words.insert(words.end(), {TRIREME_PROGRAM, "--version"});
    const ProgramResult result = run_command(words);
    EXPECT_EQ(result.exit_code, 0);
    Words counts;
    const std::string key = "GOMP_SPINCOUNT = '";
    for (size_t at = result.error.find(key); at != std::string::npos; at = result.error.find(key, at + 1)) {
      const size_t begin = at + key.size();
      counts.push_back(result.error.substr(begin, result.error.find('\'', begin) - begin));
    }
    return counts;
  };
  const Words restarted = spin_counts({});
  ASSERT_EQ(restarted.size(), 2u);
  EXPECT_EQ(restarted[1], "1000");
  EXPECT_EQ(spin_counts({"GOMP_SPINCOUNT=5"}), Words{"5"});
  EXPECT_EQ(spin_counts({"OMP_WAIT_POLICY=passive"}).size(), 1u);
}

TEST(Program, TimeoutKillsTheChildAndItsChildren) {
  const ProgramResult result =
      run_command({"sh", "-c", "sleep 30 & sleep 30"}, {.environment = {}, .directory = {}, .timeout_seconds = 0.2});
  EXPECT_TRUE(result.timed_out);
  EXPECT_EQ(result.exit_code, 128 + 9);
}

}  // namespace
}  // namespace trireme::tests
