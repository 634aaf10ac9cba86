// Jobs as text: words that a shell must give back as they were, and the settings of job.sh that are filled in.
#include "launch/slurm/job_script.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <sstream>

#include "tests/launch/workspace.h"

namespace trireme::tests {
namespace {

using launch::fill_in;
using launch::job_text;
using launch::JobScript;
using launch::shell_word;

JobScript small_job() {
  return {.job_name = "small",
          .nodes = 3,
          .ranks_per_node = 5,
          .threads = 7,
          .memory_bytes = (int64_t{11} << 20) + 1,
          .time = "1-02:03:04",
          .warning_seconds = 90,
          .partition = "",
          .account = "",
          .gpus_per_node = 0,
          .after = "",
          .tasks = {},
          .launcher = "mpirun",
          .most_idle_starts = 4,
          .program = "/opt/trireme",
          .run = "a run",
          .options = {"--data", "it's", "--steps", "9"}};
}

/// The lines of the settings, which end with an empty one.
std::vector<std::string> settings_of(const std::string& script) {
  std::vector<std::string> lines;
  std::istringstream text(script);
  for (std::string line; std::getline(text, line) && !line.empty();) lines.push_back(line);
  return lines;
}

void expect_line(const std::string& script, const std::string& line) {
  const std::vector<std::string> lines = settings_of(script);
  EXPECT_EQ(std::ranges::count(lines, line), 1) << line << "\n" << script.substr(0, script.find("\n\n"));
}

TEST(JobScript, IsTheFile) {
  std::ifstream file("launch/slurm/job.sh");
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_EQ(std::string(job_text()), text.str());
}

TEST(JobScript, WordsComeBackFromAShellAsTheyWere) {
  const std::vector<std::string> words = {
      "",       "plain", "a b", "it's",           "''",  "$HOME", "`id`",  "a\"b",  "a\\b",     "*",  "~",
      "a;b|c&", "#no",   "!!",  "tab\tand\nline", "(x)", "<in>o", "--x=y", "{a,b}", "\xC3\xA4", "-n", "%j"};
  std::string line = "printf '%s\\0'";
  std::string expected;
  for (const std::string& word : words) {
    line += " " + shell_word(word);
    expected += word + '\0';
  }
  const ProgramResult result = run_command({"bash", "-c", line});
  EXPECT_EQ(result.exit_code, 0) << result.error;
  EXPECT_EQ(result.output, expected);
}

TEST(JobScript, SettingsAreFilledInByName) {
  const std::string script = fill_in(small_job());
  for (const char* line :
       {"#SBATCH --job-name=small", "#SBATCH --nodes=3", "#SBATCH --ntasks-per-node=5", "#SBATCH --cpus-per-task=7",
        "#SBATCH --mem=12M", "#SBATCH --time=1-02:03:04", "#SBATCH --output=%x-%j.out", "#SBATCH --requeue",
        "#SBATCH --signal=B:USR1@90", "launcher=mpirun", "most_idle_starts=4", "program=/opt/trireme", "run='a run'",
        "options=(--data 'it'\\''s' --steps 9)"}) {
    expect_line(script, line);
  }
  for (const char* choice : {"partition", "account", "gpus-per-node", "array", "dependency"}) {
    EXPECT_EQ(script.find(std::string("\n#SBATCH --") + choice), std::string::npos) << choice;
  }
  EXPECT_EQ(script.substr(script.find("\n\n")), std::string(job_text().substr(job_text().find("\n\n"))));
}

TEST(JobScript, ChoicesAreHeadersOnlyWhenMade) {
  JobScript job = small_job();
  job.partition = "long,short";
  job.account = "physics";
  job.gpus_per_node = 2;
  job.after = "17";
  job.tasks = {{"--seed", "2"}, {"--run-name", "it's"}};
  const std::string script = fill_in(job);
  for (const char* line :
       {"#SBATCH --partition=long,short", "#SBATCH --account=physics", "#SBATCH --gpus-per-node=2",
        "#SBATCH --array=1-2", "#SBATCH --dependency=afterok:17 --kill-on-invalid-dep=yes",
        "#SBATCH --output=%x-%A_%a.out", "  1) options+=(--seed 2) ;;", "  2) options+=(--run-name 'it'\\''s') ;;"}) {
    expect_line(script, line);
  }
  Workspace space;
  EXPECT_EQ(run_command({"bash", "-n", space.write("job.sh", script)}).exit_code, 0);
}

}  // namespace
}  // namespace trireme::tests
