#include "launch/training_settings.h"

#include <boost/json/value_from.hpp>

#include "launch/data_sets.h"
#include "launch/device_choice.h"
#include "launch/execution_words.h"
#include "launch/json_text.h"
#include "runtime/error.h"

namespace trireme::launch {

using runtime::Error;
using runtime::ErrorKind;
namespace json = boost::json;

namespace {

std::string number(int64_t value) {
  return std::to_string(value);
}

[[noreturn]] void usage(const std::string& message) {
  throw Error(ErrorKind::usage, message);
}

/// Options by name that a resume may change, said and recorded when it does.
json::object choices_json(const TrainingSettings& settings) {
  const TrainOptions& options = settings.options;
  return {{"steps", options.steps},
          {"learning-rate", options.learning_rate},
          {"min-learning-rate", settings.learning_rate.minimum},
          {"warmup-steps", options.warmup_steps},
          {"schedule", options.schedule},
          {"weight-decay", options.weight_decay},
          {"clip-grad-norm", options.clip_grad_norm},
          {"skip-outliers", options.skip_outliers},
          {"rollback-after", options.rollback_after},
          {"dropout", options.dropout},
          {"reproducible", options.reproducible},
          {"global-batch-size", options.global_batch_size}};
}

/// What an identity that does not name an option says about it.
const json::object& default_identity() {
  static const json::object kDefaults{{"data-weights", json::array{}}, {"shuffle", "full"}, {"document-mask", false}};
  return kDefaults;
}

json::object with_defaults(json::object identity) {
  for (const auto& [key, value] : default_identity()) identity.emplace(key, value);
  return identity;
}

const json::value& member(const json::object& object, const char* key, const std::string& source) {
  const json::value* value = object.if_contains(key);
  if (value == nullptr) throw Error(ErrorKind::data, source + ": the checkpoint's state has no \"" + key + "\"");
  return *value;
}

json::object history_json(const model::StepHistory& history) {
  json::array losses;
  json::array grad_norms;
  for (const model::StepHistory::Step& step : history.steps()) {
    losses.push_back(step.loss);
    grad_norms.push_back(step.grad_norm);
  }
  return {{"losses", std::move(losses)}, {"grad_norms", std::move(grad_norms)}};
}

model::StepHistory history_from(const json::object& saved, const std::string& source) {
  const json::array& losses = member(saved, "losses", source).as_array();
  const json::array& grad_norms = member(saved, "grad_norms", source).as_array();
  if (losses.size() != grad_norms.size()) {
    throw Error(ErrorKind::data, source + ": the checkpoint's history has " + std::to_string(losses.size()) +
                                     " losses, but " + std::to_string(grad_norms.size()) +
                                     " gradient norms; go on from another one with --resume STEP");
  }
  model::StepHistory history;
  for (size_t i = 0; i < losses.size(); ++i) {
    history.add({.loss = losses[i].to_number<double>(), .grad_norm = grad_norms[i].to_number<double>()});
  }
  return history;
}

/// Of what checkpoints have not always held.
int64_t count_or_zero(const json::object& object, const char* key) {
  const json::value* value = object.if_contains(key);
  return value == nullptr ? 0 : value->as_int64();
}

}  // namespace

data::OrderOptions TrainingSettings::order() const {
  return {.seed = static_cast<uint64_t>(options.seed),
          .shuffle = options.shuffle == "blocked" ? data::Shuffle::Kind::blocked : data::Shuffle::Kind::full,
          .weights = options.data_weights};
}

model::UpdateOptions TrainingSettings::update(int64_t step, int64_t update_number) const {
  return {.learning_rate = model::learning_rate_at(learning_rate, step),
          .weight_decay = options.weight_decay,
          .beta1 = options.adam_beta1,
          .beta2 = options.adam_beta2,
          .epsilon = options.adam_epsilon,
          .clip_grad_norm = options.clip_grad_norm,
          .dropout = options.dropout,
          .seed = static_cast<uint64_t>(options.seed),
          .update = update_number};
}

int64_t resolve_sequence_length(const TrainOptions& options, const model::ModelConfig& model) {
  if (options.sequence_length == 0) return model.positions;
  if (options.sequence_length > model.positions) {
    usage("--sequence-length " + number(options.sequence_length) + " exceeds the model's " + number(model.positions) +
          " positions: that is the most");
  }
  return options.sequence_length;
}

TrainingSettings resolve_without_data(const TrainOptions& options, const model::ModelConfig& model, int ranks) {
  TrainingSettings settings{.options = options, .config = model};
  settings.sequence_length = resolve_sequence_length(options, settings.config);
  settings.layout = resolve_layout(options, settings.config, settings.sequence_length, ranks);
  settings.last_step = options.stop_at_step == 0 ? options.steps : options.stop_at_step;
  settings.execution =
      execution_of(options, settings.layout, choose_device(options.device, ranks), settings.sequence_length);
  if (settings.execution.device == runtime::Device::cuda && options.device == "cuda" && !options.calibration.empty()) {
    usage("--calibration " + options.calibration +
          " holds peaks of a processor, and this run computes on a GPU; leave it out, or use --device cpu");
  }
  if (settings.execution.device == runtime::Device::cuda && options.reproducible > 0) {
    usage("--reproducible computes on CPUs so far, and this run on a GPU; leave it out, or use --device cpu");
  }
  settings.learning_rate = {.schedule = *model::schedule_from_name(options.schedule),
                            .peak = options.learning_rate,
                            .minimum = options.min_learning_rate.value_or(options.learning_rate / 10),
                            .warmup_steps = options.warmup_steps,
                            .steps = options.steps};
  return settings;
}

TrainingSettings resolve_settings(const TrainOptions& options, const model::ModelConfig& model,
                                  std::span<const data::TokenDataset> data, int ranks) {
  model::ModelConfig config = model;
  const int64_t vocabulary_size = data.front().vocabulary_size();
  if (config.vocabulary_size == 0) config.vocabulary_size = vocabulary_size;
  if (config.vocabulary_size < vocabulary_size) {
    usage("--data has a vocabulary of " + number(vocabulary_size) + ", --model one of " +
          number(config.vocabulary_size) + "; prepare the data with a smaller tokenizer or enlarge vocab_size");
  }
  const int64_t T = resolve_sequence_length(options, config);
  for (const data::TokenDataset& dataset : data) {
    if (dataset.windows(T) >= 1) continue;
    usage("--data " + dataset.name() + " has " + number(dataset.tokens()) +
          " training tokens, fewer than one sequence of --sequence-length " + number(T) + " and its last target");
  }
  TrainingSettings settings = resolve_without_data(options, config, ranks);
  data::TrainingSamples(data, T, settings.order());  // refuses what is no mixture
  settings.tokenizer = data.front().tokenizer_description();
  settings.data_digest = digests_json(data);
  return settings;
}

json::object identity_json(const TrainingSettings& settings) {
  const TrainOptions& options = settings.options;
  json::object identity{{"model", to_json(settings.config)},
                        {"data", settings.data_digest},
                        {"tokenizer", settings.tokenizer},
                        {"sequence-length", settings.sequence_length},
                        {"seed", options.seed},
                        {"precision", options.precision},
                        {"adam-beta1", options.adam_beta1},
                        {"adam-beta2", options.adam_beta2},
                        {"adam-epsilon", options.adam_epsilon}};
  // Younger than the others: runs that do not use them keep the form that they had.
  const auto add = [&identity](const char* name, json::value value) {
    if (value != default_identity().at(name)) identity[name] = std::move(value);
  };
  add("data-weights", json::value_from(options.data_weights));
  add("shuffle", json::string(options.shuffle));
  add("document-mask", options.document_mask);
  return identity;
}

json::object state_json(const TrainingSettings& settings, const Progress& progress) {
  json::object state{{"identity", identity_json(settings)},
                     {"choices", choices_json(settings)},
                     {"progress",
                      {{"step", progress.step},
                       {"samples", progress.samples},
                       {"updates", progress.updates},
                       {"skipped_steps", progress.skipped_steps},
                       {"samples_left_out", progress.samples_left_out},
                       {"skipped_in_a_row", progress.skipped_in_a_row},
                       {"trouble_step", progress.trouble_step},
                       {"rollbacks", progress.rollbacks}}}};
  if (settings.options.skip_outliers > 0) state["history"] = history_json(progress.history);
  return state;
}

Progress progress_from(const json::object& state, const std::string& source) {
  const json::object& saved = member(state, "progress", source).as_object();
  Progress progress{.step = member(saved, "step", source).as_int64(),
                    .samples = member(saved, "samples", source).as_int64(),
                    .samples_left_out = count_or_zero(saved, "samples_left_out"),
                    .updates = member(saved, "updates", source).as_int64(),
                    .skipped_steps = member(saved, "skipped_steps", source).as_int64(),
                    .skipped_in_a_row = count_or_zero(saved, "skipped_in_a_row"),
                    .trouble_step = count_or_zero(saved, "trouble_step"),
                    .rollbacks = count_or_zero(saved, "rollbacks"),
                    .history = {}};
  const json::value* history = state.if_contains("history");
  if (history != nullptr) progress.history = history_from(history->as_object(), source);
  return progress;
}

SavedRun saved_run(const json::object& state, const std::string& source) {
  const json::object identity = with_defaults(member(state, "identity", source).as_object());
  return {.config = model::parse_model_config(member(identity, "model", source).as_object(), source),
          .tokenizer = member(identity, "tokenizer", source).as_object(),
          .sequence_length = member(identity, "sequence-length", source).as_int64(),
          .precision = std::string(member(identity, "precision", source).as_string()),
          .document_mask = member(identity, "document-mask", source).as_bool()};
}

std::vector<std::string> changes_since(const TrainingSettings& settings, const checkpoint::Manifest& saved) {
  const json::object& state = saved.state;
  const std::string source = "--run " + settings.options.run;
  const json::object saved_identity = with_defaults(member(state, "identity", source).as_object());
  for (const auto& [key, now] : with_defaults(identity_json(settings))) {
    const json::value& before = member(saved_identity, std::string(key).c_str(), source);
    if (before == now) continue;
    usage("--" + std::string(key) + " is " + json_line(now) + ", but --run " + settings.options.run +
          " was trained with " + json_line(before) + "; repeat that, or start another --run");
  }
  std::vector<std::string> changes;
  const json::object& saved_choices = member(state, "choices", source).as_object();
  for (const auto& [key, now] : choices_json(settings)) {
    static const json::value kOff = int64_t{0};
    const json::value* before = saved_choices.if_contains(key);
    if (before == nullptr && key == "reproducible") before = &kOff;  // no older program had it on
    if (before == nullptr) continue;  // saved by a program that did not have the option yet
    if (*before != now) changes.push_back("--" + std::string(key) + " " + json_line(*before) + " -> " + json_line(now));
  }
  const std::string layout_before = layout_text(saved.layout);
  const std::string layout_now = layout_text(layout_json(settings.layout));
  if (layout_before != layout_now) changes.push_back("layout " + layout_before + " -> " + layout_now);
  return changes;
}

}  // namespace trireme::launch
