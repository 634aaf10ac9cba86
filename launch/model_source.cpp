#include "launch/model_source.h"

#include <algorithm>

#include "checkpoint/load.h"
#include "checkpoint/step_directory.h"
#include "checkpoint/verify.h"
#include "launch/checkpoint_slices.h"
#include "launch/device_choice.h"
#include "launch/execution_words.h"
#include "launch/host_slices.h"
#include "launch/training_settings.h"
#include "runtime/error.h"
#include "runtime/json.h"
#include "runtime/log.h"

namespace trireme::launch {

using runtime::Error;
using runtime::ErrorKind;
namespace json = boost::json;

namespace {

/// The newest checkpoint of the run whose files are whole.
std::string newest_good_step(runtime::Files& files, const std::string& option, const std::string& checkpoints) {
  std::vector<int64_t> steps = checkpoint::committed_steps(files, checkpoints);
  std::ranges::reverse(steps);
  for (size_t i = 0; i < steps.size(); ++i) {
    const std::string directory = checkpoint::step_directory(checkpoints, steps[i]);
    const std::vector<std::string> problems = checkpoint::verify(files, directory);
    if (problems.empty()) return directory;
    runtime::log_warning("checkpoint of step " + std::to_string(steps[i]) + " is damaged: " + problems.front() +
                         (i + 1 == steps.size() ? "; there is no older checkpoint"
                                                : "; falling back to step " + std::to_string(steps[i + 1])));
  }
  throw Error(ErrorKind::data,
              option + " " + checkpoints + (steps.empty() ? ": no checkpoint yet" : ": no good checkpoint"));
}

}  // namespace

std::string find_step_directory(runtime::Files& files, const std::string& option, const std::string& path) {
  const std::string given = option + " " + path;
  if (!files.exists(path)) throw Error(ErrorKind::usage, given + ": no such directory");
  if (files.exists(path + "/manifest.json")) return path;
  const std::string checkpoints = path + "/checkpoints";
  if (files.is_directory(checkpoints)) return newest_good_step(files, option, checkpoints);
  throw Error(ErrorKind::usage, given + " is neither a run (RUN/checkpoints) nor a step directory (manifest.json)");
}

model::ModelConfig model_to_train(runtime::Files& files, const std::string& option) {
  const std::vector<std::string> presets = model::preset_names();
  if (std::ranges::find(presets, option) != presets.end() || !files.exists(option)) return model::preset(option);
  const std::string path = files.is_directory(option) ? option + "/config.json" : option;
  if (!files.exists(path)) throw Error(ErrorKind::usage, "--model " + option + " holds no config.json");
  json::value value;
  try {
    value = runtime::parse_json(runtime::read_text(files, path));
  } catch (const Error& error) {
    throw Error(error.kind(), "--model " + path + ": " + error.what());
  }
  if (!value.is_object()) throw Error(ErrorKind::data, "--model " + path + " is not a JSON object");
  const json::object& object = value.as_object();
  const bool is_of_a_run = object.contains("resolved") && object.contains("model") && object.at("model").is_object();
  return model::parse_model_config(is_of_a_run ? object.at("model").as_object() : object, "--model " + path);
}

ModelSource find_model(runtime::Files& files, runtime::Communicator& world, const std::string& option,
                       const std::string& precision, const std::string& device) {
  ModelSource source;
  const std::string chosen = world.rank() == 0 ? find_step_directory(files, "--model", option) : "";
  source.step_directory = runtime::all_gather_bytes(world, chosen).front();
  source.manifest = checkpoint::read_manifest(files, source.step_directory);
  const SavedRun saved = saved_run(source.manifest.state, source.step_directory);
  source.config = saved.config;
  source.tokenizer = saved.tokenizer;
  source.sequence_length = saved.sequence_length;
  source.document_mask = saved.document_mask;
  source.execution.storage =
      precision.empty() ? precision_of(saved.precision, "--model " + source.step_directory + " without --precision")
                        : precision_of(precision, "--precision");
  source.execution.device = choose_device(device, world.size());
  return source;
}

void load_parameters(runtime::Files& files, const ModelSource& source, model::Trainer& trainer) {
  HostSlices parameters(trainer.stream, rank_slices(trainer.units, Contents::parameters, trainer.groups.at).slices);
  checkpoint::load(files, source.step_directory, source.manifest, parameters.slices());
  parameters.push();
  model::round_masters(trainer.stream, trainer.units);
  trainer.shards.parameters_changed();
}

}  // namespace trireme::launch
