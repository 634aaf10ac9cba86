// trireme train: checks options against files, says what will be trained, and hands over to TrainingRun.
#include <algorithm>
#include <chrono>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "checkpoint/step_directory.h"
#include "data/token_dataset.h"
#include "launch/calibration_source.h"
#include "launch/commands.h"
#include "launch/data_sets.h"
#include "launch/memory_plans.h"
#include "launch/model_source.h"
#include "launch/number_text.h"
#include "launch/profile_table.h"
#include "launch/rank_agreement.h"
#include "launch/run_claim.h"
#include "launch/run_probe.h"
#include "launch/run_tokenizer.h"
#include "launch/run_watch.h"
#include "launch/stop_request.h"
#include "launch/trace_file.h"
#include "launch/training_run.h"
#include "model/rank_plan.h"
#include "runtime/cuda_queue.h"
#include "runtime/error.h"
#include "runtime/log.h"
#include "runtime/processor.h"
#include "runtime/threads.h"

namespace trireme::launch {
namespace {

void say_layout(const TrainingSettings& settings) {
  const Layout& layout = settings.layout;
  runtime::log_info(ranks_text(layout, settings.config, settings.execution));
  if (layout.mesh.dp == 1 && settings.options.zero_stage.value_or(0) > 0) {
    runtime::log_info("--zero-stage " + std::to_string(*settings.options.zero_stage) +
                      " shares nothing out: there is one rank of data parallelism");
  }
  if (layout.microbatches >= layout.mesh.pp) return;
  runtime::log_warning(counted(layout.microbatches, "microbatch", "microbatches") + " cannot keep " +
                       counted(layout.mesh.pp, "stage") +
                       " busy at a time; lower --microbatch-size, or raise --global-batch-size");
}

void say_lanes(const TrainingSettings& settings) {
  const int64_t lanes = settings.layout.lanes;
  if (lanes == 0) return;
  const bool has_tensor = settings.layout.mesh.tp > 1;
  runtime::log_info("reproducible: " + counted(lanes, "lane") + " of " +
                    counted(settings.options.global_batch_size / lanes, "sequence") +
                    ", computed one by one; the same bits for every --zero-stage, --microbatch-size, data and pipeline "
                    "layout with these lanes" +
                    (has_tensor ? ", if --tensor-parallel is 1: with " + std::to_string(settings.layout.mesh.tp) +
                                      " they follow them up to rounding"
                                : ""));
  if (settings.options.microbatch_size > 1) {
    runtime::log_info("--microbatch-size " + std::to_string(settings.options.microbatch_size) +
                      " has no effect with --reproducible");
  }
}

void say_what_is_trained(const TrainingSettings& settings, const std::vector<RankMemory>& plans) {
  const auto parameters = static_cast<double>(model::parameter_count(settings.config));
  runtime::log_info("training " + settings.options.model + ": " + fixed_text(parameters / 1e6, 2) + " M parameters, " +
                    grouped(settings.tokens_per_step()) + " tokens a step, steps to " +
                    std::to_string(settings.last_step) + ", " + settings.options.precision + ", recompute " +
                    settings.options.recompute);
  const auto ranks = static_cast<int>(plans.size());
  if (ranks > 1) say_layout(settings);
  say_lanes(settings);
  const std::string where = settings.execution.device == runtime::Device::cuda
                                ? " on " + runtime::cuda::device_name()
                                : " x " + counted(runtime::compute_threads(), "thread");
  const RankMemory& plan = largest(plans);
  runtime::log_info(counted(ranks, "rank") + where + ", " + bytes_text(plan.total_bytes()) + " planned for " +
                    (settings.layout.mesh.pp > 1 ? "the rank that needs most" : "each rank") +
                    " (parameters and optimizer " + bytes_text(plan.persistent_bytes) + ", activations " +
                    bytes_text(plan.slot_bytes) + ", scratch " + bytes_text(plan.scratch_bytes) + ")");
}

/// What mfu will mean; a calibration of another machine makes it wrong.
void say_what_mfu_is(const TrainingSettings& settings, int ranks) {
  const runtime::Calibration& calibration = *settings.calibration;
  const double flops = model::flops_per_token(settings.config, settings.sequence_length);
  runtime::log_info("mfu = " + mfu_formula(flops, calibration.fma_flops_per_second, ranks) + ", the peak by " +
                    settings.options.calibration);
  const auto difference =
      runtime::difference_from(calibration, runtime::processor_name(), runtime::compute_threads(), ranks);
  if (difference) runtime::log_warning("--calibration " + settings.options.calibration + " was " + *difference);
}

/// Options are the same on all ranks by now; files of one name may still differ from machine to machine.
void check_files_agree(runtime::Communicator& world, const TrainingSettings& settings,
                       std::span<const data::TokenDataset> validation) {
  boost::json::object identity;
  for (const auto& [name, value] : identity_json(settings)) identity["--" + std::string(name)] = value;
  identity["--data (validation)"] = digests_json(validation);
  const std::optional<std::string> difference = difference_between_ranks(world, identity);
  if (difference) throw runtime::Error(runtime::ErrorKind::usage, *difference);
}

/// Every rank writes its part of a checkpoint into the run: a directory that only some of them see is found now, not
/// when the first checkpoint is saved. Collective; rank 0 holds the lock. A network's file system may take a moment.
void check_run_is_shared(runtime::Files& files, runtime::Communicator& world, const std::string& run) {
  constexpr int kLooks = 50;
  const std::string lock = RunDirectory(files, run).checkpoints_path() + "/RUN.lock";
  int looks = 0;
  while (!files.exists(lock) && ++looks < kLooks) std::this_thread::sleep_for(std::chrono::milliseconds(200));
  const std::vector<std::string> missing = runtime::all_gather_bytes(world, looks < kLooks ? "" : "missing");
  const auto blind = std::ranges::find(missing, "missing");
  if (blind == missing.end()) return;
  throw runtime::Error(runtime::ErrorKind::usage,
                       "--run " + run + " of rank 0 is not that of rank " + std::to_string(blind - missing.begin()) +
                           ": name a directory on a file system that all ranks share, or its absolute path");
}

/// Those of --init-from, unless the run has checkpoints, from which it goes on: so the same command begins a run and
/// brings it back after a failure.
std::optional<InitialWeights> initial_weights_of_new_run(runtime::Files& files, runtime::Communicator& world,
                                                         const TrainingSettings& settings) {
  const TrainOptions& options = settings.options;
  if (options.init_from.empty()) return std::nullopt;
  const bool is_new = world.rank() != 0 || checkpoint::committed_steps(files, options.run + "/checkpoints").empty();
  if (runtime::all_gather_bytes(world, is_new ? "new" : "old").front() == "new") {
    return find_initial_weights(files, world, options, settings.config, settings.tokenizer);
  }
  if (world.rank() == 0) {
    runtime::log_info("--init-from " + options.init_from + " is for a new run and is left out: --run " + options.run +
                      " goes on from its own checkpoints");
  }
  return std::nullopt;
}

/// All of it, from options to the last checkpoint; collective. Returns the exit code.
int train(const TrainOptions& options, runtime::Communicator& world, RunWatch& watch) {
  runtime::Files& files = runtime::real_files();
  const model::ModelConfig config = model_to_train(files, options.model);
  const std::vector<data::TokenDataset> training = open_training(files, options.data);
  const std::vector<data::TokenDataset> validation = open_validation_if_any(files, options.data);
  TrainingSettings settings = resolve_settings(options, config, training, world.size());
  if (!options.calibration.empty() && settings.execution.device == runtime::Device::cuda) {
    if (world.rank() == 0) {
      runtime::log_warning("--calibration " + options.calibration +
                           " holds peaks of a processor, and this run computes on a GPU: no mfu");
    }
  } else if (!options.calibration.empty()) {
    settings.calibration = find_calibration(files, "calibration", options.calibration);
  }
  check_files_agree(world, settings, validation);
  if (world.rank() == 0) {
    check_tokenizer(files, settings.tokenizer, options.data.front());  // it is copied into the run
    // A training split is checked block by block as it is read; validation comes late, and reads all of it anyway.
    for (const data::TokenDataset& dataset : validation) dataset.check_all();
  }
  check_run(files, settings);
  if (world.rank() == 0 && !options.trace.empty()) check_trace_file(files, options.trace);
  settings.initial_weights = initial_weights_of_new_run(files, world, settings);
  const runtime::MemoryPlan plan = model::plan_training(settings.config, settings.execution, settings.layout.mesh,
                                                        settings.step_shape(), settings.update(0, 1), world.rank());
  const std::vector<RankMemory> plans =
      gather_plans(world, plan, model::staging_bytes(parallel::dry_groups(settings.layout.mesh, world.rank())));
  check_memory(settings, plans, world.rank());
  settings.planned_bytes = planned_bytes_json(plans);
  // Collective: rank 0 has the lock, and all have seen how much memory is free.
  const std::optional<runtime::FileLock> lock = lock_run(files, world, options.run);
  check_run_is_shared(files, world, options.run);
  probe_run(files, world, options.run);
  if (world.rank() == 0) say_what_is_trained(settings, plans);
  if (world.rank() == 0 && settings.calibration) say_what_mfu_is(settings, world.size());
  TrainingRun run(settings, plan, world, {.training = training, .validation = validation});
  const int64_t attempt = claim_run(files, world, options.run);  // all that can refuse to start is done
  watch.set_attempt(attempt);
  return run.run(attempt);
}

}  // namespace

int run_train(const TrainOptions& options, runtime::Communicator& world) {
  const StopSignals signals;
  runtime::use_threads(options.threads);
  RunWatch watch(runtime::real_files(), world, options);
  int code = 0;
  try {
    code = train(options, world, watch);
  } catch (const runtime::Error& error) {
    watch.look_at(error);
    throw;
  }
  watch.end();
  StopSignals::finish();
  return code;
}

}  // namespace trireme::launch
