#include "launch/initial_weights.h"

#include <optional>
#include <vector>

#include "checkpoint/agreement.h"
#include "checkpoint/load.h"
#include "checkpoint/selection.h"
#include "launch/host_slices.h"
#include "launch/json_text.h"
#include "launch/model_source.h"
#include "launch/number_text.h"
#include "model/parameters.h"
#include "runtime/error.h"
#include "runtime/log.h"

namespace trireme::launch {
namespace {

[[noreturn]] void usage(const std::string& message) {
  throw runtime::Error(runtime::ErrorKind::usage, message);
}

std::vector<parallel::ParameterSpec> parameters_of(const model::ModelConfig& config) {
  std::vector<parallel::ParameterSpec> parameters;
  for (const model::UnitDefinition& unit : model::define_units(config)) {
    for (const model::ParameterDefinition& parameter : unit.parameters) parameters.push_back(parameter.spec);
  }
  return parameters;
}

void check_patterns(const std::vector<parallel::ParameterSpec>& parameters, const TrainOptions& options) {
  std::vector<std::string> names;
  for (const parallel::ParameterSpec& parameter : parameters) names.push_back(parameter.name);
  const std::optional<std::string> idle = checkpoint::idle_pattern(names, options.init_tensors);
  if (!idle) return;
  usage("--init-tensors '" + *idle + "' matches no tensor of --model " + options.model + ", which has " +
        names.front() + " ... " + names.back());
}

void check_stored(const checkpoint::Manifest& manifest, const parallel::ParameterSpec& parameter,
                  const std::string& source, const TrainOptions& options) {
  const std::string wanted = shape_text(parameter.global_shape) + " in --model " + options.model;
  const std::string mend = "; leave it out with --init-tensors, or choose another --init-from";
  const checkpoint::StoredTensor* stored = manifest.find(parameter.name, "parameter");
  if (stored == nullptr) {
    usage("--init-from " + source + " has no tensor " + parameter.name + ", which is " + wanted + mend);
  }
  if (stored->global_shape == parameter.global_shape) return;
  usage("--init-from " + source + ": " + parameter.name + " is " + shape_text(stored->global_shape) + " there and " +
        wanted + mend);
}

/// Embeddings of another tokenizer's tokens are seldom meant.
void warn_of_tokenizer(const checkpoint::Manifest& manifest, const std::string& source,
                       const boost::json::object& tokenizer) {
  const boost::json::value* identity = manifest.state.if_contains("identity");
  const boost::json::value* theirs =
      identity != nullptr && identity->is_object() ? identity->as_object().if_contains("tokenizer") : nullptr;
  if (theirs == nullptr || *theirs == tokenizer) return;
  runtime::log_warning("--init-from " + source + " was trained with the tokenizer " + json_line(*theirs) +
                       ", and --data is of " + json_line(tokenizer));
}

}  // namespace

InitialWeights find_initial_weights(runtime::Files& files, runtime::Communicator& world, const TrainOptions& options,
                                    const model::ModelConfig& config, const boost::json::object& tokenizer) {
  const std::vector<parallel::ParameterSpec> parameters = parameters_of(config);
  check_patterns(parameters, options);
  std::string chosen;
  const std::optional<checkpoint::Failure> failure = checkpoint::try_together(world, [&] {
    if (world.rank() == 0) chosen = find_step_directory(files, "--init-from", options.init_from);
  });
  if (failure) throw runtime::Error(failure->kind, failure->reason);
  InitialWeights weights{.step_directory = runtime::all_gather_bytes(world, chosen).front(),
                         .tensors_of_model = std::ssize(parameters)};
  const checkpoint::Manifest manifest = checkpoint::read_manifest(files, weights.step_directory);
  weights.step = manifest.step;
  weights.run_id = manifest.run_id;
  for (const parallel::ParameterSpec& parameter : parameters) {
    if (!checkpoint::is_selected(parameter.name, options.init_tensors)) continue;
    check_stored(manifest, parameter, weights.step_directory, options);
    weights.tensors += 1;
    weights.parameters += parallel::whole(parameter.global_shape).elements();
  }
  if (world.rank() == 0) warn_of_tokenizer(manifest, weights.step_directory, tokenizer);
  return weights;
}

std::string initial_weights_text(const InitialWeights& weights) {
  return "weights of " + std::to_string(weights.tensors) + " of " + counted(weights.tensors_of_model, "tensor") + ", " +
         grouped(weights.parameters) + " parameters, from " + weights.step_directory;
}

boost::json::object initial_weights_json(const InitialWeights& weights) {
  return {{"step_directory", weights.step_directory},
          {"step", weights.step},
          {"run_id", weights.run_id},
          {"tensors", weights.tensors},
          {"parameters", weights.parameters}};
}

void load_initial_weights(runtime::Files& files, const InitialWeights& weights, const TrainOptions& options,
                          runtime::Stream& stream, std::span<const checkpoint::TensorSlice> held) {
  HostSlices taken(stream, checkpoint::selected_slices(held, "parameter", options.init_tensors));
  checkpoint::load(files, weights.step_directory, checkpoint::read_manifest(files, weights.step_directory),
                   taken.slices());
  taken.push();
}

}  // namespace trireme::launch
