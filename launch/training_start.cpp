// How a TrainingRun begins: a fresh initialisation, or the state of a checkpoint, and the files of the run directory.
#include <algorithm>
#include <random>

#include "checkpoint/load.h"
#include "checkpoint/retention.h"
#include "checkpoint/step_directory.h"
#include "launch/exit_record.h"
#include "launch/host_slices.h"
#include "launch/option_tables.h"
#include "launch/run_tokenizer.h"
#include "launch/training_run.h"
#include "runtime/error.h"
#include "runtime/flight_recorder.h"
#include "runtime/log.h"

namespace trireme::launch {

using runtime::Error;
using runtime::ErrorKind;
namespace json = boost::json;

namespace {

/// 16 random hexadecimal digits of rank 0, the same on all ranks.
std::string agree_on_run_id(runtime::Communicator& world) {
  std::random_device device;
  std::string id;
  for (int i = 0; i < 16; ++i) id += "0123456789abcdef"[device() % 16];
  return runtime::all_gather_bytes(world, id).front();
}

/// RUN/config.json: what was asked, what it was resolved to, and which choices a resume changed.
json::object config_json(TrainingSettings settings, int ranks, const json::value& initialized_from,
                         const json::array& changes) {
  return {{"options", options_json(option_table(settings.options))},
          {"model", to_json(settings.config)},
          {"resolved",
           {{"ranks", ranks},
            {"layout", layout_json(settings.layout)},
            {"device", runtime::name(settings.execution.device)},
            {"microbatch_size", settings.layout.microbatch_size},
            {"microbatches", settings.layout.microbatches},
            {"sequence_length", settings.sequence_length},
            {"planned_bytes", settings.planned_bytes},
            {"tokenizer", settings.tokenizer},
            {"data_digest", settings.data_digest}}},
          {"initialized_from", initialized_from},
          {"changes", changes}};
}

/// A run of another model, data set or seed is refused before any tensor is read: by the newest manifest that can be
/// read.
void check_run_identity(runtime::Files& files, const std::string& checkpoints, const TrainingSettings& settings) {
  std::vector<int64_t> steps = checkpoint::committed_steps(files, checkpoints);
  std::ranges::reverse(steps);
  for (int64_t step : steps) {
    checkpoint::Manifest manifest;
    try {
      manifest = checkpoint::read_manifest(files, checkpoint::step_directory(checkpoints, step));
    } catch (const Error&) {
      continue;  // load_newest says what is wrong with it
    }
    changes_since(settings, manifest);
    return;
  }
}

/// A config.json that no run wrote is somebody's file, and a dataset is no run.
void check_run_is_ours(runtime::Files& files, const std::string& run) {
  if (files.exists(run) && !files.is_directory(run)) {
    throw Error(ErrorKind::usage, "--run " + run + " is not a directory; choose another");
  }
  if (files.exists(run + "/dataset.json")) {
    throw Error(ErrorKind::usage, "--run " + run + " is a prepared dataset; choose another directory");
  }
  if (!files.exists(run + "/config.json")) return;
  const std::optional<json::object> config = RunDirectory(files, run).read_config();
  if (config->contains("options") && config->contains("resolved")) return;
  throw Error(ErrorKind::usage, "--run " + run + " holds a config.json that is not a run's; choose another directory");
}

}  // namespace

void check_run(runtime::Files& files, const TrainingSettings& settings) {
  check_run_is_ours(files, settings.options.run);
  const std::string checkpoints = settings.options.run + "/checkpoints";
  const Resume& wanted = settings.options.resume;
  const std::vector<int64_t> steps = checkpoint::committed_steps(files, checkpoints);
  if (wanted.mode == Resume::Mode::never && !steps.empty()) {
    throw Error(ErrorKind::usage, "--run " + settings.options.run + " has checkpoints up to step " +
                                      std::to_string(steps.back()) + "; choose another --run, or --resume auto");
  }
  if (wanted.mode == Resume::Mode::step && std::ranges::find(steps, wanted.step) == steps.end()) {
    std::string steps_there;
    for (const int64_t step : steps) steps_there += (steps_there.empty() ? "" : ", ") + std::to_string(step);
    throw Error(ErrorKind::usage,
                "--resume " + std::to_string(wanted.step) + ": --run " + settings.options.run +
                    " has no checkpoint of that step; there are: " + (steps.empty() ? "none" : steps_there));
  }
  check_run_identity(files, checkpoints, settings);
}

/// False when there is nothing to train, or a stop was agreed on before; a run that is there is then left as it is, but
/// for complete_log.
bool TrainingRun::start_or_resume() {
  const runtime::PhaseScope phase(world_.recorder(), runtime::Phase::loading);
  directory_.emplace(files_, settings_.options.run, attempt_);
  if (is_leader()) {
    directory_->sweep();
    remove_exit_record(files_, directory_->path());  // after the sweep no older start can leave one any more
  }
  if (resume(settings_.options.resume)) {
    if (is_leader()) {
      runtime::log_info("resumed from step " + std::to_string(progress_.step) + " of " +
                        directory_->checkpoints_path());
    }
  } else {
    run_id_ = agree_on_run_id(world_);
    model::initialize(stream_, static_cast<uint64_t>(settings_.options.seed), trainer_->units);
    if (!settings_.options.init_from.empty()) take_initial_weights();
    trainer_->shards.parameters_changed();
  }
  if (!has_more()) {
    if (is_leader()) {
      runtime::log_info("step " + std::to_string(progress_.step) + " of " + std::to_string(settings_.last_step) +
                        " is already done; nothing to train");
    }
    complete_log();
    return false;
  }
  if (is_leader()) open_files();
  complete_log();
  return !is_stopping_;
}

/// The step where a run ends, or is stopped, is saved before it is validated. Where a start died or was stopped between
/// the two, that is made good. The log throws when this start was replaced while it validated.
void TrainingRun::complete_log() {
  if (progress_.step == 0 || !validates()) return;
  std::optional<json::object> line;
  if (is_leader()) line = directory_->last_logged();
  if (line && (line->at("step") != progress_.step || line->contains("validation_loss"))) line.reset();
  if (runtime::all_gather_bytes(world_, line ? "validate" : "").front().empty()) return;
  StepRecord record{.step = progress_.step};
  validate(record);
  if (!line || !record.validation_loss) return;
  (*line)["eval_seconds"] = record.phase_seconds.at("eval");
  (*line)["validation_loss"] = *record.validation_loss;
  if (display_) display_->validation(record.step, *record.validation_loss);
  (log_ ? *log_ : log_.emplace(directory_->open_log(progress_.step))).put(*line);
}

/// config.json, log.jsonl and the progress line. Whatever the run has beyond the step it goes on from (the user chose
/// an older one, newer ones are damaged, or it was rolled back) is put aside, not deleted.
void TrainingRun::open_files(bool is_rollback) {
  const std::string checkpoints = directory_->checkpoints_path();
  const std::vector<int64_t> steps = checkpoint::committed_steps(files_, checkpoints);
  if (is_rollback || (!steps.empty() && steps.back() > progress_.step)) {
    // The log first: it is cut once no newer checkpoint is left to tell that there is more of it.
    if (directory_->has_log()) runtime::log_info("the log so far is put aside as " + directory_->set_log_aside());
    if (!steps.empty() && steps.back() > progress_.step) {
      checkpoint::set_aside_newer(files_, checkpoints, progress_.step, attempt_);
      runtime::log_info("checkpoints beyond step " + std::to_string(progress_.step) + " are put aside as " +
                        checkpoints + "/aside-step-...");
    }
  } else if (progress_.step == 0 && directory_->has_log()) {
    runtime::log_info("no checkpoint yet: starting anew; the earlier log is put aside as " +
                      directory_->set_log_aside());
  }
  const std::optional<json::object> previous = directory_->read_config();
  json::array changes;
  if (previous && previous->contains("changes")) {  // those of a branch that is put aside no longer count
    for (const json::value& change : previous->at("changes").as_array()) {
      if (change.at("step").as_int64() < progress_.step) changes.push_back(change);
    }
  }
  for (const Change& change : changes_) {
    runtime::log_info("from step " + std::to_string(progress_.step) + " on: " + change.text);
    json::object entry{{"step", progress_.step}, {"change", change.text}};
    if (change.samples_left_out > 0) entry["samples_left_out"] = change.samples_left_out;
    changes.push_back(std::move(entry));
  }
  json::value initialized_from;  // null: by the seed
  if (settings_.initial_weights) initialized_from = initial_weights_json(*settings_.initial_weights);
  if (previous && progress_.step > 0 && previous->contains("initialized_from")) {
    initialized_from = previous->at("initialized_from");
  }
  keep_tokenizer(files_, settings_.tokenizer, settings_.options.data.front(), settings_.options.run);
  directory_->write_config(config_json(settings_, world_.size(), initialized_from, changes));
  log_.emplace(directory_->open_log(progress_.step));
  display_.emplace(settings_.last_step, ProgressLine::on_terminal());
}

/// Over the initial values; all that is not taken keeps those.
void TrainingRun::take_initial_weights() {
  if (!settings_.initial_weights) {
    throw Error(ErrorKind::io,
                "--run " + settings_.options.run + " had checkpoints a moment ago and has none now; start again");
  }
  load_initial_weights(files_, *settings_.initial_weights, settings_.options, stream_, held_.slices);
  model::round_masters(stream_, trainer_->units);
  if (is_leader()) runtime::log_info(initial_weights_text(*settings_.initial_weights));
}

/// False when there is no checkpoint up to `last_step`. Collective.
bool TrainingRun::resume(const Resume& wanted, int64_t last_step) {
  const std::string checkpoints = directory_->checkpoints_path();
  HostSlices tensors(stream_, held_.slices);
  const std::vector<checkpoint::TensorSlice>& slices = tensors.slices();
  std::optional<checkpoint::Loaded> loaded;
  if (wanted.mode == Resume::Mode::step) {
    loaded = checkpoint::load_chosen(files_, world_, checkpoints, wanted.step, slices);
  } else {
    loaded = checkpoint::load_newest(files_, world_, checkpoints, slices, last_step);
  }
  if (!loaded) return false;
  tensors.push();
  model::round_masters(stream_, trainer_->units);
  trainer_->shards.parameters_changed();
  progress_ = progress_from(loaded->manifest.state, checkpoint::step_directory(checkpoints, loaded->step));
  saved_step_ = progress_.step;
  run_id_ = loaded->manifest.run_id;
  changes_.clear();
  for (std::string& text : changes_since(settings_, loaded->manifest)) changes_.push_back({.text = std::move(text)});
  return true;
}

}  // namespace trireme::launch
