#include "launch/slurm/job_script.h"

#include "runtime/error.h"

namespace trireme::launch {
namespace {

/// Replaces the one line that begins with `start`.
void set_line(std::string& script, const std::string& start, const std::string& line) {
  const size_t at = script.find("\n" + start);
  if (at == std::string::npos) {
    throw runtime::Error(runtime::ErrorKind::internal,
                         "launch/slurm/job.sh had no line " + start + " when this was built: put it back, build again");
  }
  script.replace(at + 1, script.find('\n', at + 1) - at - 1, line);
}

/// `#SBATCH --NAME=VALUE`, which job.sh has with another value.
void set_header(std::string& script, const std::string& name, const std::string& value) {
  set_line(script, "#SBATCH --" + name + "=", "#SBATCH --" + name + "=" + value);
}

/// The same where job.sh has it commented out: it stays so without a value.
void set_choice(std::string& script, const std::string& name, const std::string& value) {
  if (!value.empty()) set_line(script, "##SBATCH --" + name + "=", "#SBATCH --" + name + "=" + value);
}

std::string shell_words(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : " ") + shell_word(word);
  return text;
}

void set_tasks(std::string& script, const std::vector<std::vector<std::string>>& tasks) {
  std::string text = "case ${SLURM_ARRAY_TASK_ID:-} in\n";
  for (size_t i = 0; i < tasks.size(); ++i) {
    text += "  " + std::to_string(i + 1) + ") options+=(" + shell_words(tasks[i]) + ") ;;\n";
  }
  text += "  *) echo \"job.sh: this array has the tasks 1 to " + std::to_string(tasks.size()) + "\" >&2 && exit 2 ;;";
  set_line(script, "case ${SLURM_ARRAY_TASK_ID:-} in", text);
}

}  // namespace

std::string shell_word(const std::string& word) {
  const std::string plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./:=,+@%-";
  if (!word.empty() && word.find_first_not_of(plain) == std::string::npos) return word;
  std::string quoted = "'";
  for (const char c : word) quoted += c == '\'' ? "'\\''" : std::string(1, c);
  return quoted + "'";
}

std::string fill_in(const JobScript& job) {
  constexpr int64_t kMegabyte = 1 << 20;  // as Slurm counts them
  std::string script(job_text());
  set_header(script, "job-name", job.job_name);
  set_header(script, "nodes", std::to_string(job.nodes));
  set_header(script, "ntasks-per-node", std::to_string(job.ranks_per_node));
  set_header(script, "cpus-per-task", std::to_string(job.threads));
  set_header(script, "mem", std::to_string((job.memory_bytes + kMegabyte - 1) / kMegabyte) + "M");
  set_header(script, "time", job.time);
  set_header(script, "signal", "B:USR1@" + std::to_string(job.warning_seconds));
  set_choice(script, "partition", job.partition);
  set_choice(script, "account", job.account);
  if (job.gpus_per_node > 0) set_choice(script, "gpus-per-node", std::to_string(job.gpus_per_node));
  if (!job.after.empty()) set_choice(script, "dependency", "afterok:" + job.after + " --kill-on-invalid-dep=yes");
  if (!job.tasks.empty()) {
    set_choice(script, "array", "1-" + std::to_string(job.tasks.size()));
    set_header(script, "output", "%x-%A_%a.out");
    set_tasks(script, job.tasks);
  }
  set_line(script, "launcher=", "launcher=" + job.launcher);
  set_line(script, "most_idle_starts=", "most_idle_starts=" + std::to_string(job.most_idle_starts));
  set_line(script, "program=", "program=" + shell_word(job.program));
  set_line(script, "run=", "run=" + shell_word(job.run));
  set_line(script, "options=", "options=(" + shell_words(job.options) + ")");
  return script;
}

}  // namespace trireme::launch
