// trireme submit: checks the options of train for the ranks of a job, as train itself would, fills in the job script,
// prints it, and gives it to sbatch. A layout that does not fit is refused here, and not after a night in the queue.
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/step_directory.h"
#include "launch/calibration_source.h"
#include "launch/commands.h"
#include "launch/data_sets.h"
#include "launch/initial_weights.h"
#include "launch/layout_plan.h"
#include "launch/memory_plans.h"
#include "launch/model_source.h"
#include "launch/number_text.h"
#include "launch/option_tables.h"
#include "launch/slurm/job_script.h"
#include "launch/slurm/job_time.h"
#include "launch/slurm/node_memory.h"
#include "launch/slurm/sweep.h"
#include "launch/training_run.h"
#include "launch/training_settings.h"
#include "runtime/communicator.h"
#include "runtime/error.h"
#include "runtime/log.h"
#include "runtime/program_start.h"
#include "runtime/threads.h"

namespace trireme::launch {
namespace {

using runtime::Error;
using runtime::ErrorKind;

/// What train would say of the files beside the data and the model. With --after a job may still have to make them.
void check_files(runtime::Files& files, const TrainingSettings& settings, bool may_come_later) {
  check_run(files, settings);
  const TrainOptions& options = settings.options;
  const auto is_to_be_read = [&](const std::string& path) {
    return !path.empty() && (!may_come_later || files.exists(path));
  };
  if (is_profile(options.calibration) || is_to_be_read(options.calibration)) {
    find_calibration(files, "calibration", options.calibration);
  }
  const bool is_new = checkpoint::committed_steps(files, options.run + "/checkpoints").empty();
  if (is_new && is_to_be_read(options.init_from)) {
    find_initial_weights(files, *runtime::solo_communicator(), options, settings.config, settings.tokenizer);
  }
}

/// What train would make of the options. The device is one of the job's machines, which this one need not have. Nothing
/// where data is not there yet: then the layout alone is checked.
std::optional<TrainingSettings> settings_of(TrainOptions options, int ranks, const SubmitOptions& job) {
  runtime::Files& files = runtime::real_files();
  const bool on_gpu = options.device == "cuda";
  options.device = "cpu";
  const model::ModelConfig config = model_to_train(files, options.model);
  const auto missing = std::ranges::find_if(options.data, [&](const auto& path) { return !files.exists(path); });
  if (missing != options.data.end()) {
    if (!job.memory) {
      throw Error(ErrorKind::usage,
                  "--data " + *missing + " is not there, and the memory of a job depends on it: " +
                      "prepare it first, or give --memory GB (with --after the job that prepares it)");
    }
    resolve_layout(options, config, options.sequence_length > 0 ? options.sequence_length : config.positions, ranks);
    return std::nullopt;
  }
  TrainingSettings settings = resolve_settings(options, config, open_training(files, options.data), ranks);
  check_files(files, settings, !job.after.empty());
  if (on_gpu) settings.execution.device = runtime::Device::cuda;
  if (options.device_memory) {
    const LayoutPlan plan =
        plan_memory(planned_training(settings), settings.layout, settings.execution.recompute, kFewMicrobatches);
    check_device_memory(settings, plan.needed_bytes());
  }
  return settings;
}

/// That a node needs for the task, as far as its data is there.
std::optional<int64_t> planned_bytes(const SubmitOptions& options, const SweepTask& task) {
  try {
    const auto ranks = static_cast<int>(options.nodes * options.ranks_per_node);
    const std::optional<TrainingSettings> settings = settings_of(task.options, ranks, options);
    if (!settings) return std::nullopt;
    return node_memory_bytes(*settings, static_cast<int>(options.ranks_per_node));
  } catch (const Error& error) {
    if (task.place.empty()) throw;
    throw Error(error.kind(), task.place + ": " + error.what());
  }
}

/// Of the task that needs most, after all have been checked; or what was asked for.
int64_t memory_bytes(const SubmitOptions& options, const std::vector<SweepTask>& tasks) {
  int64_t most_bytes = 0;
  for (const SweepTask& task : tasks) most_bytes = std::max(most_bytes, planned_bytes(options, task).value_or(0));
  if (!options.memory) return most_bytes;
  const auto asked_bytes = static_cast<int64_t>(*options.memory * 1e9);
  if (asked_bytes < most_bytes) {
    runtime::log_warning("--memory asks for " + bytes_text(asked_bytes) + " of a node, and the plan is " +
                         bytes_text(most_bytes) + ": Slurm may kill the job; without --memory the plan is asked for");
  }
  return asked_bytes;
}

void print(const std::string& script) {
  const bool written =
      std::fwrite(script.data(), 1, script.size(), stdout) == script.size() && std::fflush(stdout) == 0;
  if (!written) throw Error(ErrorKind::io, "cannot write to standard output");
}

/// To Slurm a job that it does not know is one that has ended well, long ago.
void check_job_before(const std::string& job) {
  if (job.empty()) return;
  const std::string ask = "timeout 60 scontrol show job " + job + " 2>&1 | grep -q 'Invalid job id'";
  if (std::system(ask.c_str()) != 0) return;  // it is known; or Slurm does not answer, which sbatch will say
  throw Error(ErrorKind::usage,
              "--after " + job + ": Slurm knows no such job (any more); leave --after out if it has ended well");
}

/// sbatch's own output, the job's number, follows the script on standard output. It copies this environment into the
/// job, but for what the program set for itself by this machine's processor (program_start.h), and what a job that this
/// is called in has of Slurm and the new one may not: job.sh would take them for its own.
void submit(const std::string& script) {
  std::string command = "exec env -u SLURM_ARRAY_JOB_ID -u SLURM_ARRAY_TASK_ID -u SLURM_RESTART_COUNT";
  for (const std::string& name : runtime::own_library_settings()) command += " -u " + name;
  std::FILE* sbatch = popen((command + " sbatch --parsable").c_str(), "w");
  if (sbatch == nullptr) throw Error(ErrorKind::io, "cannot start sbatch");
  std::signal(SIGPIPE, SIG_IGN);                         // sbatch may end before it has read all,
  std::fwrite(script.data(), 1, script.size(), sbatch);  // and what fails here shows in its exit code
  const int status = pclose(sbatch);
  if (status == 0) return;
  constexpr int kNotFound = 127;
  const bool is_missing = WIFEXITED(status) && WEXITSTATUS(status) == kNotFound;
  throw Error(ErrorKind::io, is_missing
                                 ? "there is no sbatch here: submit where Slurm is, or take the script by --print"
                                 : "sbatch did not take the job; what it says stands above");
}

}  // namespace

int run_submit(const SubmitOptions& given) {
  SubmitOptions options = given;
  runtime::use_threads(options.train.threads);                       // scratch goes by them
  if (options.train.device == "auto") options.train.device = "cpu";  // what memory is asked for is what will be used
  JobScript job{.job_name = options.job_name,
                .nodes = options.nodes,
                .ranks_per_node = options.ranks_per_node,
                .threads = options.train.threads,
                .time = options.time,
                .warning_seconds = warning_seconds(*slurm_seconds(options.time)),  // checked
                .partition = options.partition,
                .account = options.account,
                .gpus_per_node = options.gpus_per_node,
                .after = options.after,
                .tasks = {},
                .launcher = options.launcher,
                .most_idle_starts = options.most_idle_starts,
                .program = std::filesystem::read_symlink("/proc/self/exe"),
                .run = options.train.run,
                .options = command_words(options.train)};
  std::vector<SweepTask> tasks;
  if (options.sweep.empty()) {
    tasks.push_back({.words = {}, .options = options.train, .place = {}});
    check(tasks.back().options);
  } else {
    tasks = read_sweep(options.sweep, options.train);
    for (size_t i = 0; i < tasks.size(); ++i) {
      job.tasks.push_back(tasks[i].words);
      tasks[i].options.run += "/task-" + std::to_string(i + 1);  // as job.sh has it
    }
  }
  job.memory_bytes = memory_bytes(options, tasks);
  const std::string script = fill_in(job);
  print(script);
  if (options.print) return 0;
  check_job_before(options.after);
  submit(script);
  const std::string number = options.sweep.empty() ? "-JOB.out" : "-JOB_TASK.out";
  runtime::log_info("submitted; what it says will lie in " + options.job_name + number + " here");
  return 0;
}

}  // namespace trireme::launch
