// Layouts that do not fit, and ranks that were not told the same: one line with both numbers, exit code 2, no hang.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/launch/workspace.h"

namespace trireme::tests {
namespace {

/// Lines of standard error that the program wrote; mpirun adds its own.
std::vector<std::string> own_lines(const ProgramResult& result) {
  std::vector<std::string> lines;
  std::istringstream text(result.error);
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with("trireme")) lines.push_back(line);
  }
  return lines;
}

void expect_one_line(const ProgramResult& result, const std::string& part) {
  EXPECT_EQ(result.exit_code, 2) << result.error;
  EXPECT_FALSE(result.timed_out);
  const std::vector<std::string> lines = own_lines(result);
  ASSERT_EQ(lines.size(), 1u) << result.error;
  EXPECT_NE(lines[0].find(part), std::string::npos) << result.error;
}

/// Six layers, 6 heads, 2 K/V heads, sequences of 32 tokens.
void prepare(const Workspace& space) {
  space.prepare();
  space.write("model.json", R"({"model_type": "llama", "num_hidden_layers": 6, "num_attention_heads": 6,
              "num_key_value_heads": 2, "hidden_size": 24, "intermediate_size": 36, "max_position_embeddings": 32,
              "vocab_size": 257})");
}

TEST(BadLayout, IsFoundOnOneRank) {
  Workspace space;
  prepare(space);
  const auto expect = [&](const std::vector<std::string>& more, const std::string& part) {
    std::vector<std::string> words = space.train_words("run", {"--steps", "2"});
    words.insert(words.end(), more.begin(), more.end());
    expect_refused(run_trireme(words), 2, part);
    EXPECT_FALSE(std::filesystem::exists(space.path("run/config.json")));
  };
  expect({"--tensor-parallel", "2"},
         "--tensor-parallel 2 needs 2 ranks or a multiple of that, got 1: start 2, or use --tensor-parallel 1");
  expect({"--tensor-parallel", "3"}, "does not divide the model's 6 heads and 2 K/V heads; the nearest that fits is 2");
  expect({"--tensor-parallel", "2", "--sequence-length", "31"},
         "--tensor-parallel 2 does not divide the sequence length 31; the nearest that fits is 1");
  expect({"--pipeline-parallel", "7"},
         "--pipeline-parallel 7 is more than the model's 6 layers; the nearest that fits");
  expect({"--pipeline-parallel", "4", "--virtual-stages", "2"},
         "--pipeline-parallel 4 x --virtual-stages 2 = 8 is more than the model's 6 layers; the nearest that fits is "
         "--virtual-stages 1 or --pipeline-parallel 3");
  expect({"--pipeline-parallel", "3", "--virtual-stages", "2", "--pipeline-schedule", "zb-h1"},
         "--virtual-stages 2 does not go with --pipeline-schedule zb-h1");
  expect({"--virtual-stages", "2"}, "needs stages to interleave");
}

TEST(BadLayout, IsFoundOnSeveralRanks) {
  Workspace space;
  prepare(space);
  const auto expect = [&](int ranks, const std::vector<std::string>& more, const std::string& part) {
    std::vector<std::string> words = space.train_words("run", {"--steps", "2"});
    words.insert(words.end(), more.begin(), more.end());
    expect_one_line(run_trireme_ranks(ranks, words), part);
    EXPECT_FALSE(std::filesystem::exists(space.path("run/config.json")));
  };
  expect(3, {"--tensor-parallel", "2"}, "--tensor-parallel 2 needs 2 ranks or a multiple of that, got 3: start 2 or 4");
  expect(5, {"--pipeline-parallel", "2"}, "--pipeline-parallel 2 needs 2 ranks or a multiple of that, got 5");
  expect(6, {"--tensor-parallel", "2"}, "--global-batch-size 8 does not divide by 3 data-parallel ranks");
  expect(2, {"--tensor-parallel", "6"}, "--tensor-parallel 6 does not divide the model's 6 heads and 2 K/V heads");
  expect(2, {"--pipeline-parallel", "2", "--virtual-stages", "2", "--microbatch-size", "8"},
         "takes microbatches in groups of --pipeline-parallel 2, got 1");
  expect(2, {"--pipeline-parallel", "2", "--virtual-stages", "4"}, "is more than the model's 6 layers");
}

TEST(BadLayout, RanksThatWereToldDifferentThingsSaySo) {
  Workspace space;
  space.prepare();
  const auto words = [&](const std::vector<std::string>& more) {
    std::vector<std::string> all = space.train_words("run", {"--steps", "2"});
    all.insert(all.end(), more.begin(), more.end());
    return all;
  };
  expect_one_line(run_trireme_different_ranks({words({}), words({"--seed", "7"})}),
                  "--seed is 7 on rank 1 and 1 on rank 0; all ranks must have the same");
  expect_one_line(run_trireme_different_ranks({words({}), words({}), words({"--zero-stage", "3"})}),
                  "--zero-stage is 3 on rank 2 and not given on rank 0");
  expect_one_line(run_trireme_different_ranks(
                      {words({}), {"evaluate", "--model", space.path("run"), "--data", space.path("data")}}),
                  "the command is \"evaluate\" on rank 1 and \"train\" on rank 0");
  expect_one_line(run_trireme_different_ranks({words({}), {"train", "--help"}}),
                  "the command is \"train --help\" on rank 1 and \"train\" on rank 0");
  EXPECT_FALSE(std::filesystem::exists(space.path("run"))) << "no file is touched before";
  const ProgramResult help = run_trireme_ranks(2, {"train", "--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_EQ(help.output, run_trireme({"train", "--help"}).output);
  const ProgramResult threads = run_trireme_different_ranks({words({"--threads", "1"}), words({"--threads", "2"})});
  EXPECT_EQ(threads.exit_code, 0) << threads.error;
}

// Each rank in a directory of its own, where --run is another one.
TEST(BadLayout, ARunThatRanksDoNotShareIsFoundAtTheStart) {
  Workspace space;
  space.prepare();
  std::vector<std::string> words = {"mpirun", "--oversubscribe", "--bind-to", "none"};
  for (const char* place : {"first", "second"}) {
    std::filesystem::create_directory(space.path(place));
    if (words.size() > 4) words.emplace_back(":");
    words.insert(words.end(), {"-n", "1", "-wdir", space.path(place), TRIREME_PROGRAM});
    const std::vector<std::string> train = space.train_words("run", {"--steps", "2", "--run", "here"});
    words.insert(words.end(), train.begin(), train.end());
  }
  const ProgramResult result = run_command(words, {.environment = {{"OMPI_ALLOW_RUN_AS_ROOT", "1"},
                                                                   {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
                                                                   {"OMP_NUM_THREADS", "1"}},
                                                   .directory = {}});
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.error.find("--run here of rank 0 is not that of rank 1: name a directory on a file system that all "
                              "ranks share"),
            std::string::npos)
      << result.error;
}

/// A shell around each rank writes down its code. mpirun would kill the others once one has ended with 2, and is told
/// not to; it then returns 0.
TEST(BadLayout, EveryRankEndsWithTwoWhenOneWasToldSomethingElse) {
  Workspace space;
  space.prepare();
  const std::string script =
      "shift; \"$@\"; code=$?; echo $code > " + space.path("code") + "-$OMPI_COMM_WORLD_RANK; exit $code";
  std::vector<std::string> words = {"mpirun", "--oversubscribe", "--bind-to", "none"};
  for (const std::string seed : {"1", "1", "2"}) {
    if (words.size() > 4) words.emplace_back(":");
    words.insert(words.end(), {"-n", "1", "sh", "-c", script, "sh", "run", TRIREME_PROGRAM});
    const std::vector<std::string> train = space.train_words("run", {"--steps", "2", "--seed", seed});
    words.insert(words.end(), train.begin(), train.end());
  }
  const ProgramResult result = run_command(words, {.environment = {{"OMPI_ALLOW_RUN_AS_ROOT", "1"},
                                                                   {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
                                                                   {"OMPI_MCA_orte_abort_on_non_zero_status", "0"},
                                                                   {"OMP_NUM_THREADS", "1"}},
                                                   .directory = {}});
  EXPECT_FALSE(result.timed_out);
  for (const char* name : {"code-0", "code-1", "code-2"}) EXPECT_EQ(space.read(name), "2\n") << name;
  EXPECT_EQ(own_lines(result).size(), 1u) << result.error;
}

}  // namespace
}  // namespace trireme::tests
