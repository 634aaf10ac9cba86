// What the program says when files, data, models and runs do not fit: one line, the right exit code, nothing lost.
#include <gtest/gtest.h>

#include <unistd.h>

#include "tests/launch/workspace.h"

namespace trireme::tests {
namespace {

using std::filesystem::create_directory;

std::vector<std::string> prepare_words(const Workspace& space, const std::string& input) {
  return {"prepare", "--input", input, "--output", space.path("out"), "--tokenizer", "byte"};
}

TEST(BadInput, MissingFile) {
  Workspace space;
  expect_refused(run_trireme(prepare_words(space, space.path("nowhere.txt"))), 2, "nowhere.txt");
}

TEST(BadInput, DirectoryWithoutText) {
  Workspace space;
  create_directory(space.path("empty"));
  expect_refused(run_trireme(prepare_words(space, space.path("empty"))), 1, space.path("empty"));
}

TEST(BadInput, EmptyCorpus) {
  Workspace space;
  expect_refused(run_trireme(prepare_words(space, space.write("empty.txt", ""))), 1, "empty.txt");
}

TEST(BadInput, TextFromAPipe) {
  Workspace space;
  const ProgramResult result =
      run_command({"sh", "-c",
                   std::string("echo text | ") + TRIREME_PROGRAM + " prepare --input /dev/stdin --output " +
                       space.path("out") + " --tokenizer byte"});
  expect_refused(result, 2, "--input /dev/stdin is not a regular file");
}

TEST(BadInput, CorpusShorterThanOneSequence) {
  Workspace space;
  space.prepare(100);
  ASSERT_EQ(run_trireme({"prepare", "--input", space.write("tiny.txt", "ab\ncd\n"), "--output", space.path("tiny"),
                         "--tokenizer", "byte"})
                .exit_code,
            0);
  std::vector<std::string> words = space.train_words("run", {"--steps", "2"});
  words[2] = space.path("tiny");
  expect_refused(run_trireme(words), 2, "fewer than one sequence");
}

TEST(BadInput, MissingDataNamesPrepare) {
  Workspace space;
  space.prepare();
  std::vector<std::string> words = space.train_words("run", {"--steps", "2"});
  for (const char* data : {"nowhere", "empty", "corpus.txt"}) {  // missing, no dataset, no directory
    if (data == std::string("empty")) create_directory(space.path(data));
    words[2] = space.path(data);
    expect_refused(run_trireme(words), 2, "trireme prepare");
  }
}

TEST(BadInput, ModelThatDoesNotFitTheData) {
  Workspace space;
  space.prepare();
  space.write(
      "model.json",
      R"({"model_type": "gpt2", "n_layer": 1, "n_head": 1, "n_embd": 8, "n_positions": 32, "vocab_size": 100})");
  expect_refused(run_trireme(space.train_words("run", {"--steps", "2"})), 2, "vocabulary of 257");
}

TEST(BadInput, HeadsThatDoNotDivideTheWidth) {
  Workspace space;
  space.prepare();
  space.write(
      "model.json",
      R"({"model_type": "gpt2", "n_layer": 1, "n_head": 3, "n_embd": 8, "n_positions": 32, "vocab_size": 257})");
  expect_refused(run_trireme(space.train_words("run", {"--steps", "2"})), 2, "n_head 3 does not divide n_embd 8");
}

TEST(BadInput, UnknownPresetListsThePresets) {
  Workspace space;
  space.prepare();
  std::vector<std::string> words = space.train_words("run", {"--steps", "2"});
  words[4] = "gpt2-125m";
  expect_refused(run_trireme(words), 2, "gpt2-124m");
}

TEST(BadInput, BatchThatDoesNotDivide) {
  Workspace space;
  space.prepare();
  expect_refused(run_trireme(space.train_words("run", {"--steps", "2", "--microbatch-size", "3"})), 2,
                 "--microbatch-size 3");
  const ProgramResult result = run_trireme_ranks(3, space.train_words("run", {"--steps", "2"}));
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.error.find("--global-batch-size 8 does not divide by 3 ranks; the nearest that does is 9"),
            std::string::npos)
      << result.error;
}

TEST(BadInput, SequenceLongerThanThePositions) {
  Workspace space;
  space.prepare();
  expect_refused(run_trireme(space.train_words("run", {"--steps", "2", "--sequence-length", "33"})), 2,
                 "exceeds the model's 32 positions: that is the most");
}

TEST(BadInput, RunOfAnotherConfigurationIsRefusedAndUntouched) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(run_trireme(space.train_words("run", {"--steps", "2"})).exit_code, 0);
  const std::string log = space.read("run/log.jsonl");
  const std::string config = space.read("run/config.json");
  expect_refused(run_trireme(space.train_words("run", {"--steps", "4", "--seed", "2"})), 2, "--seed is 2");
  expect_refused(run_trireme(space.train_words("run", {"--steps", "4", "--sequence-length", "16"})), 2,
                 "--sequence-length is 16");
  space.write(
      "model.json",
      R"({"model_type": "gpt2", "n_layer": 1, "n_head": 2, "n_embd": 32, "n_positions": 32, "vocab_size": 257})");
  expect_refused(run_trireme(space.train_words("run", {"--steps", "4"})), 2, "--model is");
  EXPECT_EQ(space.read("run/log.jsonl"), log);
  EXPECT_EQ(space.read("run/config.json"), config);
}

TEST(BadInput, DirectoryOfSomebodyElseIsNoRun) {
  Workspace space;
  space.prepare();
  create_directory(space.path("hf"));
  const std::string model = space.read("model.json");
  space.write("hf/config.json", model);
  expect_refused(run_trireme(space.train_words("hf", {"--steps", "2"})), 2, "a config.json that is not a run's");
  EXPECT_EQ(space.read("hf/config.json"), model);
  expect_refused(run_trireme(space.train_words("data", {"--steps", "2"})), 2, "is a prepared dataset");
}

TEST(BadInput, PlanAboveTheMachinesMemory) {
  Workspace space;
  space.prepare();
  space.write("model.json",
              R"({"model_type": "gpt2", "n_head": 16, "n_embd": 65536, "n_positions": 32, "vocab_size": 257})");
  const auto expect_advice = [&](const std::vector<std::string>& more, const std::string& advice) {
    const ProgramResult result = run_trireme(space.train_words("run", more));
    EXPECT_EQ(result.exit_code, 2);
    EXPECT_NE(result.error.find(advice), std::string::npos) << result.error;
  };
  expect_advice({"--steps", "2"},
                "nothing near it fits: the least is 9.9 TB a rank with --microbatch-size 1 --recompute full; choose a "
                "smaller --model");
  space.write("model.json", R"({"model_type": "gpt2", "n_layer": 8191, "n_head": 1, "n_embd": 16, "n_positions": 32,
                                "vocab_size": 257})");
  // 17.9 TB for 65536 sequences at once; how few fit depends on this machine.
  expect_advice({"--steps", "2", "--global-batch-size", "65536"}, " are free; with --microbatch-size ");
}

TEST(BadInput, DamagedValidationDataIsFoundBeforeTraining) {
  Workspace space;
  space.prepare();
  std::string shard = space.read("data/validation-00000.h5");
  shard[shard.size() / 2] ^= 1;
  space.write("data/validation-00000.h5", shard);
  const ProgramResult result = run_trireme(space.train_words("run", {"--steps", "3"}));
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.error.find("validation-00000.h5"), std::string::npos) << result.error;
  EXPECT_FALSE(std::filesystem::exists(space.path("run")));
}

TEST(BadInput, DivergedTrainingIsAFailure) {
  Workspace space;
  space.prepare();
  for (const char* start : {"the first", "one that finds nothing left to train"}) {
    const ProgramResult result =
        run_trireme(space.train_words("run", {"--steps", "20", "--learning-rate", "1e30", "--clip-grad-norm", "0"}));
    EXPECT_EQ(result.exit_code, 1) << start << result.error;
    EXPECT_NE(result.error.find("the training has diverged"), std::string::npos) << start << result.error;
  }
  EXPECT_EQ(space.log("run").back().at("skipped").as_string(), "nonfinite");
  EXPECT_EQ(run_trireme({"evaluate", "--model", space.path("run"), "--data", space.path("data")}).exit_code, 1);
}

TEST(BadInput, ResumeNeverAndMissingStep) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(run_trireme(space.train_words("run", {"--steps", "2"})).exit_code, 0);
  expect_refused(run_trireme(space.train_words("run", {"--steps", "4", "--resume", "never"})), 2,
                 "has checkpoints up to step 2");
  expect_refused(run_trireme(space.train_words("run", {"--steps", "4", "--resume", "3"})), 2,
                 "no checkpoint of that step");
}

TEST(BadInput, UnwritableRunDirectory) {
  Workspace space;
  space.prepare();
  space.write("file", "");  // root may write anywhere, but nobody makes a directory below a file
  const ProgramResult result = run_trireme(space.train_words("file/run", {"--steps", "2"}));
  expect_refused(result, 1, "file/run");
}

/// One checkpoint's first shard.
std::string shard_of(const Workspace& space, int step) {
  char name[32];
  std::snprintf(name, sizeof(name), "step-%09d", step);
  return space.path("run/checkpoints/") + name + "/shard-00000-of-00001.h5";
}

void flip_byte(const std::string& path, int64_t offset) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(offset);
  const char byte = static_cast<char>(file.get() ^ 1);
  file.seekp(offset);
  file.put(byte);
}

TEST(BadInput, DamagedNewestCheckpointFallsBackLoudly) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(run_trireme(space.train_words("run", {"--steps", "6", "--checkpoint-every", "2", "--stop-at-step", "4"}))
                .exit_code,
            0);
  flip_byte(shard_of(space, 4), 20000);
  const ProgramResult verify = run_trireme({"checkpoint", "verify", space.path("run")});
  EXPECT_EQ(verify.exit_code, 1) << verify.output;
  const ProgramResult result = run_trireme(space.train_words("run", {"--steps", "6", "--checkpoint-every", "2"}));
  ASSERT_EQ(result.exit_code, 0) << result.error;
  EXPECT_NE(result.error.find("falling back to step 2"), std::string::npos) << result.error;
  ASSERT_EQ(run_trireme(space.train_words("straight", {"--steps", "6"})).exit_code, 0);
  EXPECT_EQ(space.log("run").back().at("loss"), space.log("straight").back().at("loss"));
}

TEST(BadInput, OnlyCheckpointTruncatedIsAnErrorNotAFreshStart) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(run_trireme(space.train_words("run", {"--steps", "2"})).exit_code, 0);
  ASSERT_EQ(truncate(shard_of(space, 2).c_str(), 5000), 0);
  const ProgramResult resumed = run_trireme(space.train_words("run", {"--steps", "4"}));
  EXPECT_EQ(resumed.exit_code, 1);
  EXPECT_NE(resumed.error.find("shard-00000-of-00001.h5"), std::string::npos) << resumed.error;
  const ProgramResult generated = run_trireme({"generate", "--model", space.path("run"), "--prompt", "a"});
  EXPECT_EQ(generated.exit_code, 1);
  EXPECT_EQ(generated.output, "");
}

TEST(BadInput, DamagedTokenShard) {
  Workspace space;
  space.prepare();
  for (const auto& entry : std::filesystem::directory_iterator(space.path("data"))) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("train-")) flip_byte(entry.path().string(), static_cast<int64_t>(entry.file_size()) / 2);
  }
  const ProgramResult result = run_trireme(space.train_words("run", {"--steps", "2"}));
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.error.find("train-"), std::string::npos) << result.error;
}

TEST(BadInput, ModelPathThatIsNoModel) {
  Workspace space;
  expect_refused(run_trireme({"generate", "--model", space.path("nowhere"), "--prompt", "a"}), 2, "no such directory");
  create_directory(space.path("empty"));
  expect_refused(run_trireme({"generate", "--model", space.path("empty"), "--prompt", "a"}), 2, "neither a run");
}

TEST(BadInput, FullOutput) {
  Workspace space;
  space.prepare();
  ASSERT_EQ(run_trireme(space.train_words("run", {"--steps", "2"})).exit_code, 0);
  const std::string program = std::string("exec ") + TRIREME_PROGRAM + " ";
  for (const std::string& command :
       {"generate --model " + space.path("run") + " --prompt a",
        "evaluate --model " + space.path("run") + " --data " + space.path("data"),
        "checkpoint list " + space.path("run"), "checkpoint verify " + space.path("run"), std::string("--help")}) {
    const ProgramResult result = run_command({"sh", "-c", program + command + " > /dev/full"});
    expect_refused(result, 1, "cannot write to standard output");
  }
}

/// A limit on file sizes stands in for a full disk; SIGXFSZ is ignored, as it would be on a disk that is full.
ProgramResult run_with_small_files(const std::string& words, int kilobytes) {
  return run_command(
      {"bash", "-c", "trap '' XFSZ; ulimit -f " + std::to_string(kilobytes) + "; exec " TRIREME_PROGRAM " " + words});
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += word + " ";
  return text;
}

TEST(BadInput, FullDiskAtACheckpointIsLoudAndTrainingGoesOn) {
  Workspace space;
  space.prepare();
  const std::string words = joined(space.train_words("run", {"--steps", "4", "--checkpoint-every", "2"}));
  const ProgramResult result = run_with_small_files(words, 100);  // the shard has 400 kB, the log less than one
  EXPECT_EQ(result.exit_code, 1) << result.error;
  EXPECT_NE(result.error.find("step 2 was not saved"), std::string::npos) << result.error;
  EXPECT_NE(result.error.find("training goes on"), std::string::npos) << result.error;
  EXPECT_EQ(space.log("run").size(), 4u);
  EXPECT_FALSE(std::filesystem::exists(shard_of(space, 2)));
  EXPECT_EQ(run_trireme(space.train_words("run", {"--steps", "4"})).exit_code, 0);
  EXPECT_EQ(space.log("run").size(), 4u);
}

TEST(BadInput, FullDiskDuringPrepareLeavesNothingHalfValid) {
  Workspace space;
  space.write("corpus.txt", Workspace::corpus(200000));
  const std::string words = joined(prepare_words(space, space.path("corpus.txt")));
  const ProgramResult result = run_with_small_files(words, 100);
  EXPECT_EQ(result.exit_code, 1) << result.error;
  EXPECT_FALSE(std::filesystem::exists(space.path("out/dataset.json")));
  EXPECT_EQ(run_trireme(prepare_words(space, space.path("corpus.txt"))).exit_code, 0);
}

}  // namespace
}  // namespace trireme::tests
