// trireme train: checks options against files, says what will be trained, and hands over to TrainingRun.
#include <cstdio>

#include "data/token_dataset.h"
#include "launch/commands.h"
#include "launch/model_source.h"
#include "launch/training_run.h"
#include "runtime/log.h"
#include "runtime/threads.h"

namespace trireme::launch {
namespace {

std::string decimal(double value, int places) {
  char text[64];
  std::snprintf(text, sizeof(text), "%.*f", places, value);
  return text;
}

void say_what_is_trained(const TrainingSettings& settings, const runtime::MemoryPlan& plan, int ranks) {
  const auto parameters = static_cast<double>(model::parameter_count(settings.config));
  runtime::log_info("training " + settings.options.model + ": " + decimal(parameters / 1e6, 2) + " M parameters, " +
                    std::to_string(settings.tokens_per_step()) + " tokens a step, steps to " +
                    std::to_string(settings.last_step) + ", fp32");
  runtime::log_info(std::to_string(ranks) + (ranks == 1 ? " rank x " : " ranks x ") +
                    std::to_string(runtime::compute_threads()) + " threads, " +
                    decimal(static_cast<double>(plan.total_bytes()) / 1e6, 1) +
                    " MB planned for each rank (parameters and optimizer " +
                    decimal(static_cast<double>(plan.persistent_bytes) / 1e6, 1) + ", activations " +
                    decimal(static_cast<double>(plan.slots * plan.slot_bytes) / 1e6, 1) + ", scratch " +
                    decimal(static_cast<double>(plan.scratch_bytes) / 1e6, 1) + ")");
}

}  // namespace

int run_train(const TrainOptions& options, runtime::Communicator& world) {
  runtime::use_threads(options.threads);
  runtime::Files& files = runtime::real_files();
  const model::ModelConfig config = model_to_train(files, options.model);
  const data::TokenDataset training(files, options.data, "train");
  std::optional<data::TokenDataset> validation;
  if (data::has_split(files, options.data, "validation")) validation.emplace(files, options.data, "validation");
  const TrainingSettings settings = resolve_settings(options, config, training, world.size());
  check_run(files, settings);
  TrainingRun run(settings, world, files, training, validation ? &*validation : nullptr);
  if (world.rank() == 0) say_what_is_trained(settings, run.memory_plan(), world.size());
  run.run();
  return 0;
}

}  // namespace trireme::launch
