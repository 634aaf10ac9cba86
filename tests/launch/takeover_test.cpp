// A run that is started again while its first start lives: two real jobs of one Slurm job, as a requeue makes them when
// the first one's machine was only cut off; and two that do not see each other's lock.
#include <gtest/gtest.h>

#include <algorithm>
#include <string>

#include "tests/launch/workspace.h"

namespace trireme::tests {
namespace {

std::string words_text(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += " " + word;
  return text;
}

/// Starts `first`, freezes it and its ranks once it has saved twice, runs `second`, then lets the first go on and gives
/// its exit code; its words go to RUN.first. They are starts of Slurm job 77, or without it do not see one lock.
constexpr const char* kScript = R"script(
first=$1 second=$2 run=$3 requeued=$4
unset SLURM_JOB_ID SLURM_RESTART_COUNT
[ $requeued = 1 ] && export SLURM_JOB_ID=77
$first >"$run.first" 2>&1 &
job=$!
for wait in $(seq 600); do
  [ "$(ls -d "$run"/checkpoints/step-*[0-9] 2>/dev/null | wc -l)" -ge 2 ] && break
  sleep 0.02
done
processes="$job $(cat /proc/$job/task/$job/children)"
kill -STOP $processes || exit 98
[ $requeued = 1 ] || rm "$run/checkpoints/RUN.lock"
SLURM_RESTART_COUNT=1 $second
code=$?
kill -CONT $processes
wait $job
first_code=$?
[ $code = 0 ] && exit $first_code
exit 99
)script";

struct Starts {
  int ranks;
  bool requeued;
};

class Takeover : public testing::TestWithParam<Starts> {};

TEST_P(Takeover, OfAStoppedStartLeavesTheRunAsIfItWereAlone) {
  const auto [ranks, requeued] = GetParam();
  Workspace space;
  space.prepare();
  const std::vector<std::string> more{"--steps", "150", "--checkpoint-every", "10", "--keep-last", "3"};
  const std::string launcher =
      ranks == 1 ? "" : "mpirun --oversubscribe --bind-to none -n " + std::to_string(ranks) + " ";
  const auto train = [&](const std::string& run) {
    return launcher + TRIREME_PROGRAM + words_text(space.train_words(run, more));
  };
  const ProgramSettings settings{.environment = {{"OMPI_ALLOW_RUN_AS_ROOT", "1"},
                                                 {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
                                                 {"OMPI_MCA_pml", "ob1"},
                                                 {"OMPI_MCA_btl", "self,vader"},
                                                 {"OMP_NUM_THREADS", "1"}}};
  ProgramResult result = run_command({"sh", "-c", train("alone")}, settings);
  ASSERT_EQ(result.exit_code, 0) << result.error;

  result = run_command({"sh", "-c", kScript, "sh", train("run"), train("run"), space.path("run"), requeued ? "1" : "0"},
                       settings);
  const std::string first = space.read("run.first");
  EXPECT_EQ(result.exit_code, 1) << result.error << first;
  EXPECT_EQ(result.error.find("an earlier start of this job: taking over from it") != std::string::npos, requeued)
      << result.error;
  EXPECT_NE(result.error.find("resumed from step "), std::string::npos) << result.error;
  const std::string line = "attempt 1 of this run was replaced by attempt 2 (process ";
  const size_t said = first.find(line);
  ASSERT_NE(said, std::string::npos) << first;
  const std::string job = requeued ? ", Slurm job 77, restart 1" : "";
  EXPECT_NE(first.find(job + "), which goes on from the newest checkpoint; this one ends", said), std::string::npos)
      << first;
  EXPECT_EQ(first.find(line, said + 1), std::string::npos) << "one rank says it: " << first;

  for (const std::string& action : {std::string("verify"), std::string("list")}) {
    result = run_trireme({"checkpoint", action, space.path("run")});
    EXPECT_EQ(result.exit_code, 0) << result.output << result.error;
  }
  EXPECT_EQ(std::ranges::count(result.output, '\n'), 3) << result.output;
  result = run_trireme({"checkpoint", "diff", space.path("run"), space.path("alone")});
  EXPECT_EQ(result.exit_code, 0) << result.output << result.error;
  const auto log = space.log("run");
  const auto expected = space.log("alone");
  ASSERT_EQ(log.size(), expected.size());
  for (size_t i = 0; i < log.size(); ++i) EXPECT_EQ(log[i].at("loss"), expected[i].at("loss")) << "step " << i + 1;
}

INSTANTIATE_TEST_SUITE_P(OneAndTwo, Takeover, testing::Values(Starts{1, true}, Starts{2, true}, Starts{2, false}));

}  // namespace
}  // namespace trireme::tests
