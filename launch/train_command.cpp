// trireme train: checks options against files, says what will be trained, and hands over to TrainingRun.
#include <optional>

#include "data/token_dataset.h"
#include "launch/commands.h"
#include "launch/model_source.h"
#include "launch/number_text.h"
#include "launch/profile_table.h"
#include "launch/training_run.h"
#include "runtime/cuda_queue.h"
#include "runtime/error.h"
#include "runtime/file_lock.h"
#include "runtime/log.h"
#include "runtime/processor.h"
#include "runtime/threads.h"

namespace trireme::launch {
namespace {

void say_what_is_trained(const TrainingSettings& settings, const runtime::MemoryPlan& plan, int ranks) {
  const auto parameters = static_cast<double>(model::parameter_count(settings.config));
  runtime::log_info("training " + settings.options.model + ": " + fixed_text(parameters / 1e6, 2) + " M parameters, " +
                    grouped(settings.tokens_per_step()) + " tokens a step, steps to " +
                    std::to_string(settings.last_step) + ", " + settings.options.precision + ", recompute " +
                    settings.options.recompute);
  const std::string where = settings.execution.device == runtime::Device::cuda
                                ? " on " + runtime::cuda::device_name()
                                : " x " + counted(runtime::compute_threads(), "thread");
  runtime::log_info(counted(ranks, "rank") + where + ", " + bytes_text(plan.total_bytes()) +
                    " planned for each rank (parameters and optimizer " + bytes_text(plan.persistent_bytes) +
                    ", activations " + bytes_text(plan.slots * plan.slot_bytes) + ", scratch " +
                    bytes_text(plan.scratch_bytes) + ")");
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

/// What may make a plan smaller, of what is not chosen yet.
std::string memory_advice(const runtime::MemoryPlan& plan, const model::Execution& execution, int64_t room_bytes) {
  if (plan.persistent_bytes > room_bytes) {
    return "parameters and optimizer alone need " + bytes_text(plan.persistent_bytes) +
           " a rank: choose a smaller --model";
  }
  std::string advice = "lower --microbatch-size or --sequence-length, ";
  if (execution.recompute != model::Recompute::full) advice += "choose --recompute full, ";
  if (execution.storage != runtime::DType::bf16) advice += "choose --precision bf16, ";
  return advice + "or choose a smaller --model";
}

/// What CUDA and cuBLASLt take for themselves as a run goes on (code that is loaded late, recorded graphs, operands to
/// time products with): by the sizes of those, not measured.
constexpr int64_t kGpuReserveBytes = int64_t{2} << 30;

/// A process that takes more than there is would be killed without a word. `ranks` of this machine share its memory.
void check_memory(const runtime::MemoryPlan& plan, const model::Execution& execution, int ranks) {
  const bool on_gpu = execution.device == runtime::Device::cuda;
  const std::optional<int64_t> available_bytes = runtime::available_memory_bytes(execution.device);
  const int64_t needed_bytes = plan.total_bytes() * ranks + (on_gpu ? kGpuReserveBytes : 0);
  if (!available_bytes || needed_bytes <= *available_bytes) return;
  const std::string where = on_gpu ? " of memory on the GPU (" + bytes_text(kGpuReserveBytes) + " for CUDA itself), "
                                   : " of memory on this machine, ";
  throw runtime::Error(runtime::ErrorKind::usage, "the plan needs " + bytes_text(needed_bytes) + where +
                                                      bytes_text(*available_bytes) + " are free; " +
                                                      memory_advice(plan, execution, *available_bytes / ranks));
}

/// A checkpoint of a model on a GPU goes through a copy in host memory: parameters and both moments.
void check_host_memory(const TrainingSettings& settings) {
  if (settings.execution.device != runtime::Device::cuda) return;
  const int64_t needed_bytes = 12 * model::parameter_count(settings.config);
  const std::optional<int64_t> available_bytes = runtime::available_memory_bytes(runtime::Device::cpu);
  if (!available_bytes || needed_bytes <= *available_bytes) return;
  throw runtime::Error(runtime::ErrorKind::usage, "checkpoints of this model need " + bytes_text(needed_bytes) +
                                                      " of this machine's memory beside the GPU's, " +
                                                      bytes_text(*available_bytes) +
                                                      " are free: choose a smaller --model");
}

/// RUN/checkpoints/RUN.lock, held by the first rank for as long as it trains, and by nobody once that process is dead.
runtime::FileLock lock_run(runtime::Files& files, const std::string& run) {
  const std::string checkpoints = RunDirectory(files, run).checkpoints_path();
  files.make_directory(checkpoints);
  const std::string path = checkpoints + "/RUN.lock";
  std::optional<runtime::FileLock> lock = runtime::FileLock::try_lock(path);
  if (lock) return std::move(*lock);
  throw runtime::Error(runtime::ErrorKind::usage, "--run " + run + " is being trained by " +
                                                      runtime::FileLock::owner(path) +
                                                      "; wait for it, or choose another --run");
}

}  // namespace

int run_train(const TrainOptions& options, runtime::Communicator& world) {
  runtime::use_threads(options.threads);
  runtime::Files& files = runtime::real_files();
  const model::ModelConfig config = model_to_train(files, options.model);
  const data::TokenDataset training(files, options.data, "train");
  std::optional<data::TokenDataset> validation;
  if (data::has_split(files, options.data, "validation")) validation.emplace(files, options.data, "validation");
  TrainingSettings settings = resolve_settings(options, config, training, world.size());
  if (!options.calibration.empty() && settings.execution.device == runtime::Device::cuda) {
    if (world.rank() == 0) {
      runtime::log_warning("--calibration " + options.calibration +
                           " holds peaks of a processor, and this run computes on a GPU: no mfu");
    }
  } else if (!options.calibration.empty()) {
    settings.calibration = runtime::read_calibration(files, "calibration", options.calibration);
  }
  check_run(files, settings);
  std::optional<runtime::FileLock> lock;
  if (world.rank() == 0) lock = lock_run(files, options.run);
  const runtime::MemoryPlan plan = model::plan_training(settings.config, settings.execution, settings.microbatch_size,
                                                        settings.sequence_length, settings.update(0, 1), world.size());
  if (world.rank() == 0) say_what_is_trained(settings, plan, world.size());
  if (world.rank() == 0 && settings.calibration) say_what_mfu_is(settings, world.size());
  check_memory(plan, settings.execution, static_cast<int>(runtime::local_ranks()));
  check_host_memory(settings);
  world.barrier().wait();  // nobody takes memory while another still looks how much is free
  TrainingRun run(settings, plan, world, training, validation ? &*validation : nullptr);
  run.run();
  return 0;
}

}  // namespace trireme::launch
