// trireme submit without Slurm: what it prints, what it refuses, and what sbatch is given.
#include <gtest/gtest.h>

#include "tests/launch/workspace.h"

namespace trireme::tests {
namespace {

std::vector<std::string> submit_words(const Workspace& space, const std::vector<std::string>& more) {
  std::vector<std::string> words = space.train_words("run", {"--steps", "40"});
  words[0] = "submit";
  words.insert(words.end(), {"--threads", "2", "--nodes", "2", "--ranks-per-node", "2"});
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

std::string line_of(const std::string& script, const std::string& start) {
  const size_t at = script.find("\n" + start);
  return at == std::string::npos ? "" : script.substr(at + 1, script.find('\n', at + 1) - at - 1);
}

int64_t megabytes_of(const std::string& script) {
  return std::atoll(line_of(script, "#SBATCH --mem=").substr(std::string("#SBATCH --mem=").size()).c_str());
}

TEST(Submit, PrintsAJobOfTheOptionsThatWereGiven) {
  Workspace space;
  space.prepare();
  space.write("job.ini", "weight-decay = 0.25\nnodes = 4\n");
  const ProgramResult result = run_trireme(
      submit_words(space, {"--config", space.path("job.ini"), "--print", "--document-mask", "--reproducible=4"}));
  ASSERT_EQ(result.exit_code, 0) << result.error;
  EXPECT_EQ(line_of(result.output, "#SBATCH --nodes="), "#SBATCH --nodes=2");  // the command line wins
  EXPECT_EQ(line_of(result.output, "#SBATCH --cpus-per-task="), "#SBATCH --cpus-per-task=2");
  EXPECT_EQ(line_of(result.output, "run="), "run=" + space.path("run"));
  EXPECT_EQ(line_of(result.output, "program="), std::string("program=") + TRIREME_PROGRAM);
  EXPECT_EQ(line_of(result.output, "options="),
            "options=(--data " + space.path("data") + " --model " + space.path("model.json") +
                " --document-mask --steps 40 --device cpu --threads 2 --reproducible=4 --learning-rate 0.003 "
                "--weight-decay 0.25 --log-every 1)");
  EXPECT_FALSE(std::filesystem::exists(space.path("run")));
}

TEST(Submit, RefusesWhatTrainWouldRefuseOnThoseRanks) {
  Workspace space;
  space.prepare();
  const auto expect = [&](const std::vector<std::string>& more, const std::string& part) {
    const ProgramResult result = run_trireme(submit_words(space, more));
    expect_refused(result, 2, part);
    EXPECT_EQ(result.output, "");
  };
  expect({"--global-batch-size", "6"}, "--global-batch-size 6");
  expect({"--tensor-parallel", "3"}, "--tensor-parallel 3");
  expect({"--warmup-steps", "40"}, "--warmup-steps 40 leaves nothing of --steps 40");
  expect({"--nods", "2"}, "--nods is not an option of submit; did you mean --nodes?");
  expect({"--job-name", "my job"}, "--job-name: 'my job' has other than letters, digits and");
  expect({"--account", "a,b\nc"}, "--account: 'a,b");
  expect({"--time", "tomorrow"}, "--time tomorrow is no limit as Slurm writes it");
  expect({"--time", "1:59"}, "--time 1:59: Slurm warns up to a minute early");
  expect({"--resume", "never"}, "--resume is not for submit");
  expect({"--resume", "20"}, "--resume is not for submit");
  expect({"--device", "cuda"}, "--device cuda needs --gpus-per-node N");
  expect({"--gpus-per-node", "1"}, "--gpus-per-node 1 needs --device cuda");
  expect({"--sweep", space.path("none")}, "--sweep: cannot read");
  expect({"--sweep", space.write("empty", "# nothing\n")}, "has no line of options");
  expect({"--sweep", space.write("sweep", "--seed 2\n\n--tensor-parallel 3\n")}, "sweep:3: --tensor-parallel 3");
  expect({"--sweep", space.write("sweep", "--seed '2\n")}, "sweep:1: a quote ' is not closed");
  expect({"--sweep", space.write("sweep", "--seed 2\n--sed 3\n")}, "sweep:2: --sed is not an option of train");
  expect({"--sweep", space.write("sweep", "--seed 2\n"), "--trace", space.path("trace.json")},
         "--trace: all tasks of --sweep would write " + space.path("trace.json"));
  expect({"--sweep", space.write("sweep", "--run there\n")}, "sweep:1: --run is the same for all tasks");
  expect({"--sweep", space.write("sweep", "--seed 2\n--resume 8\n")}, "sweep:2: --resume is the same for all tasks");
}

TEST(Submit, LooksAtTheFilesThatTrainWillRead) {
  Workspace space;
  space.prepare();
  const auto expect = [&](const std::vector<std::string>& more, const std::string& part) {
    std::vector<std::string> words = submit_words(space, {"--print"});
    words.insert(words.end(), more.begin(), more.end());
    expect_refused(run_trireme(words), 2, part);
  };
  expect({"--init-from", space.path("none")}, "--init-from " + space.path("none") + ": no such directory");
  expect({"--run", space.path("data")}, "is a prepared dataset");
  expect({"--run", space.path("corpus.txt")}, "is not a directory");
  EXPECT_NE(run_trireme(submit_words(space, {"--print", "--calibration", space.path("none")})).exit_code, 0);
  const ProgramResult later = run_trireme(submit_words(
      space, {"--print", "--after", "17", "--init-from", space.path("none"), "--calibration", space.path("none")}));
  EXPECT_EQ(later.exit_code, 0) << later.error;  // the job before may make them

  ASSERT_EQ(run_trireme(space.train_words("trained", {"--steps", "1"})).exit_code, 0);
  EXPECT_EQ(run_trireme(submit_words(space, {"--print", "--init-from", space.path("trained")})).exit_code, 0);
  expect({"--init-from", space.path("trained"), "--init-tensors", "no.such*"}, "matches no tensor");
  expect({"--run", space.path("trained"), "--seed", "9"}, "--seed");
  std::filesystem::create_directory(space.path("sweep-run"));
  std::filesystem::rename(space.path("trained"), space.path("sweep-run/task-2"));
  expect({"--run", space.path("sweep-run"), "--sweep", space.write("sweep", "--seed 1\n--seed 9\n")}, "--seed");
  EXPECT_EQ(run_trireme(submit_words(space, {"--print", "--run", space.path("sweep-run"), "--sweep",
                                             space.write("sweep", "--seed 9\n--seed 1\n")}))
                .exit_code,
            0);
}

TEST(Submit, HasSlurmWarnInTime) {
  Workspace space;
  space.prepare();
  const auto warning = [&](const std::string& time) {
    const ProgramResult result = run_trireme(submit_words(space, {"--print", "--time", time}));
    EXPECT_EQ(result.exit_code, 0) << result.error;
    return line_of(result.output, "#SBATCH --signal=");
  };
  EXPECT_EQ(warning("1-00"), "#SBATCH --signal=B:USR1@120");
  EXPECT_EQ(warning("12"), "#SBATCH --signal=B:USR1@120");
  EXPECT_EQ(warning("0:06:00"), "#SBATCH --signal=B:USR1@60");
  EXPECT_EQ(warning("2"), "#SBATCH --signal=B:USR1@20");
}

TEST(Submit, WantsTheDataOrTheMemory) {
  Workspace space;
  space.prepare();
  const std::string later = space.path("later");
  expect_refused(run_trireme(submit_words(space, {"--print", "--data", later})), 2, "give --memory GB");
  expect_refused(
      run_trireme(submit_words(space, {"--print", "--data", later, "--memory", "2", "--tensor-parallel", "3"})), 2,
      "--tensor-parallel 3");
  const ProgramResult result =
      run_trireme(submit_words(space, {"--print", "--data", later, "--memory", "2", "--after", "17"}));
  EXPECT_EQ(result.exit_code, 0) << result.error;
  EXPECT_EQ(result.error, "");
  const ProgramResult little = run_trireme(submit_words(space, {"--print", "--memory", "0.01"}));
  EXPECT_EQ(little.exit_code, 0) << little.error;
  EXPECT_NE(little.error.find("warning: --memory asks for 10.0 MB"), std::string::npos) << little.error;
  EXPECT_EQ(line_of(result.output, "#SBATCH --mem="), "#SBATCH --mem=1908M");  // 2e9 bytes in units of 2^20, rounded up
}

TEST(Submit, AsksForTheMemoryOfTheTaskThatNeedsMost) {
  Workspace space;
  space.prepare();
  const auto memory = [&](const std::vector<std::string>& more) {
    std::vector<std::string> words =
        submit_words(space, {"--print", "--model", "gpt2-124m", "--global-batch-size", "16"});
    words.insert(words.end(), more.begin(), more.end());
    const ProgramResult result = run_trireme(words);
    EXPECT_EQ(result.exit_code, 0) << result.error;
    return megabytes_of(result.output);
  };
  // Two of four ranks at ZeRO 1: parameters and gradients whole, the optimizer and a save's copy a quarter each.
  const double parameters = 124.44e6;
  const double known_megabytes = 2 * parameters * (8 + 8 / 4.0 + 12 / 4.0) / (1 << 20);
  const int64_t megabytes = memory({"--sequence-length", "64"});
  EXPECT_GT(megabytes, known_megabytes);
  EXPECT_LT(megabytes, known_megabytes + 3000);  // activations of 4 x 64 tokens, scratch, what stands beside the plan
  const int64_t longer = memory({"--sequence-length", "256"});
  EXPECT_GT(longer, megabytes);
  const std::string sweep = space.write("sweep", "--sequence-length 64\n--sequence-length 256\n--sequence-length 32\n");
  EXPECT_EQ(memory({"--sweep", sweep}), longer);
  EXPECT_LT(memory({"--sequence-length", "64", "--zero-stage", "3"}), megabytes);
}

TEST(Submit, GivesSbatchTheScriptThatItPrints) {
  Workspace space;
  space.prepare();
  std::filesystem::create_directory(space.path("bin"));
  const std::string sbatch = space.write("bin/sbatch", "#!/bin/sh\ncat >\"$TOOK\"\necho \"$*\" 4711\n");
  std::filesystem::permissions(sbatch, std::filesystem::perms::owner_all);
  const std::string path = space.path("bin") + ":" + std::getenv("PATH");
  const ProgramSettings settings{.environment = {{"PATH", path}, {"TOOK", space.path("took")}}, .directory = ""};
  const ProgramResult result = run_trireme(submit_words(space, {}), settings);
  ASSERT_EQ(result.exit_code, 0) << result.error;
  const std::string script = space.read("took");
  EXPECT_EQ(result.output, script + "--parsable 4711\n");  // the job's number is the last word
  space.write("bin/sbatch", "#!/bin/sh\necho 'sbatch: error: no such partition' >&2; exit 1\n");
  EXPECT_EQ(run_trireme(submit_words(space, {}), settings).exit_code, 1);
  const std::string scontrol =
      space.write("bin/scontrol", "#!/bin/sh\necho 'slurm_load_jobs error: Invalid job id specified' >&2; exit 1\n");
  std::filesystem::permissions(scontrol, std::filesystem::perms::owner_all);
  const ProgramResult unknown = run_trireme(submit_words(space, {"--after", "99"}), settings);
  EXPECT_EQ(unknown.exit_code, 2);
  EXPECT_NE(unknown.error.find("--after 99: Slurm knows no such job"), std::string::npos) << unknown.error;
  std::filesystem::remove(sbatch);
  std::filesystem::create_symlink("/usr/bin/env", space.path("bin/env"));
  const ProgramSettings without{.environment = {{"PATH", space.path("bin")}}, .directory = ""};
  const ProgramResult missing = run_trireme(submit_words(space, {}), without);
  EXPECT_EQ(missing.exit_code, 1);
  EXPECT_NE(missing.error.find("there is no sbatch here"), std::string::npos) << missing.error;
}

TEST(Submit, GivesSbatchTheEnvironmentOfItsUser) {
  Workspace space;
  space.prepare();
  std::filesystem::create_directory(space.path("bin"));
  const std::string sbatch = space.write("bin/sbatch",
                                         "#!/bin/sh\ncat >/dev/null\necho spin=$GOMP_SPINCOUNT core=$OPENBLAS_CORETYPE "
                                         "task=$SLURM_ARRAY_TASK_ID restart=$SLURM_RESTART_COUNT mark=$MARK\n");
  std::filesystem::permissions(sbatch, std::filesystem::perms::owner_all);
  ProgramSettings settings{.environment = {{"PATH", space.path("bin") + ":" + std::getenv("PATH")},
                                           {"MARK", "5"},
                                           {"SLURM_ARRAY_TASK_ID", "3"},  // as in a job that submits another
                                           {"SLURM_RESTART_COUNT", "2"}},
                           .directory = ""};
  const auto last_line = [&](std::vector<std::string> words) {
    const std::vector<std::string> submitted = submit_words(space, {});
    words.push_back(TRIREME_PROGRAM);
    words.insert(words.end(), submitted.begin(), submitted.end());
    const ProgramResult result = run_command(words, settings);
    EXPECT_EQ(result.exit_code, 0) << result.error;
    return result.output.substr(result.output.rfind('\n', result.output.size() - 2) + 1);
  };
  EXPECT_EQ(last_line({"env", "-u", "GOMP_SPINCOUNT", "-u", "OPENBLAS_CORETYPE", "-u", "OMP_WAIT_POLICY"}),
            "spin= core= task= restart= mark=5\n");
  EXPECT_EQ(last_line({"env", "GOMP_SPINCOUNT=77", "OPENBLAS_CORETYPE=Haswell"}),
            "spin=77 core=Haswell task= restart= mark=5\n");
}

TEST(Chain, CancelsWhatIsInTheQueueWhenALinkFails) {
  Workspace space;
  space.prepare();
  std::filesystem::create_directory(space.path("bin"));
  for (const auto& [name, text] :
       {std::pair{"bin/sbatch", "#!/bin/sh\ncat >/dev/null\necho \"$*\" >>\"$CALLS\"\necho '17;cluster'\n"},
        std::pair{"bin/scancel", "#!/bin/sh\necho cancelled \"$@\" >>\"$CALLS\"\n"}}) {
    std::filesystem::permissions(space.write(name, text), std::filesystem::perms::owner_all);
  }
  const ProgramSettings settings{.environment = {{"PATH", space.path("bin") + ":" + std::getenv("PATH")},
                                                 {"CALLS", space.path("calls")},
                                                 {"TRIREME", TRIREME_PROGRAM}},
                                 .directory = ""};
  const auto start = [&](const std::vector<std::string>& more) {
    std::filesystem::remove(space.path("calls"));
    std::vector<std::string> words{"bash", "launch/slurm/chain.sh", space.path("corpus.txt"), space.path("chain")};
    words.insert(words.end(), {"--memory", "1", "--threads", "1", "--model", "nano", "--steps", "4"});
    words.insert(words.end(), more.begin(), more.end());
    return run_command(words, settings);
  };
  const ProgramResult whole = start({});
  EXPECT_EQ(whole.exit_code, 0) << whole.error;
  EXPECT_EQ(whole.output, "prepare 17, train 17, evaluate 17: squeue --me shows them\n");
  EXPECT_EQ(space.read("calls").find("cancelled"), std::string::npos);

  const ProgramResult broken = start({"--no-such-option"});
  EXPECT_NE(broken.exit_code, 0);
  EXPECT_EQ(broken.output, "");
  EXPECT_NE(broken.error.find("--no-such-option"), std::string::npos) << broken.error;
  EXPECT_TRUE(space.read("calls").ends_with("\ncancelled 17\n")) << space.read("calls");
}

}  // namespace
}  // namespace trireme::tests
