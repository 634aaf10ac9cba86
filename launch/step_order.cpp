#include "launch/step_order.h"

#include <boost/json.hpp>
#include <optional>

#include "launch/json_text.h"
#include "launch/option.h"
#include "launch/run_directory.h"
#include "runtime/error.h"
#include "runtime/json.h"

namespace trireme::launch {

using runtime::Error;
using runtime::ErrorKind;
namespace json = boost::json;

namespace {

data::Shuffle::Kind shuffle_of(std::string_view word) {
  return word == "blocked" ? data::Shuffle::Kind::blocked : data::Shuffle::Kind::full;
}

/// A batch size from a step on: the one after `step` steps is the first of it.
struct BatchChange {
  int64_t step = 0;
  int64_t before = 0;
};

/// Of config.json's changes, "--global-batch-size 8 -> 16" at step 100, in order.
std::vector<BatchChange> batch_changes(const json::object& config) {
  constexpr std::string_view kName = "--global-batch-size ";
  std::vector<BatchChange> changes;
  for (const json::value& entry : config.at("changes").as_array()) {
    const std::string text(entry.at("change").as_string());
    if (!text.starts_with(kName)) continue;
    const std::string before = text.substr(kName.size(), text.find(" -> ") - kName.size());
    changes.push_back({.step = entry.at("step").as_int64(), .before = parse_whole(before, {.least = 1})});
  }
  return changes;
}

/// Of the data's order, before the samples of step `step`: rollbacks went past them (config.json's changes).
int64_t samples_left_out(const json::object& config, int64_t step) {
  int64_t samples = 0;
  for (const json::value& entry : config.at("changes").as_array()) {
    const json::value* left_out = entry.as_object().if_contains("samples_left_out");
    if (left_out != nullptr && entry.at("step").as_int64() < step) samples += left_out->as_int64();
  }
  return samples;
}

/// The samples that steps 1 to `steps` trained on, and the batch size of the step after them.
struct Position {
  int64_t samples = 0;
  int64_t batch = 0;
};
Position position_after(int64_t steps, const std::vector<BatchChange>& changes, int64_t last_batch) {
  Position position{.samples = 0, .batch = last_batch};
  int64_t at = 0;
  for (const BatchChange& change : changes) {
    if (change.step > steps)
      return {.samples = position.samples + (steps - at) * change.before, .batch = change.before};
    position.samples += (change.step - at) * change.before;
    at = change.step;
  }
  position.samples += (steps - at) * last_batch;
  return position;
}

/// Every line of the log says how many tokens there were so far.
void check_log(runtime::Files& files, const std::string& run, const std::vector<BatchChange>& changes,
               int64_t last_batch, int64_t sequence_length) {
  const std::string path = run + "/log.jsonl";
  if (!files.exists(path)) return;
  const std::string text = runtime::read_text(files, path);
  for (size_t begin = 0, end = 0; (end = text.find('\n', begin)) != std::string::npos; begin = end + 1) {
    const json::value line = runtime::parse_json(std::string_view(text).substr(begin, end - begin));
    const int64_t step = line.at("step").as_int64();
    const int64_t samples = position_after(step, changes, last_batch).samples;
    if (line.at("tokens").as_int64() == samples * sequence_length) continue;
    throw Error(ErrorKind::data, path + " has " + json_line(line.at("tokens")) + " tokens at step " +
                                     std::to_string(step) + ", by config.json there were " +
                                     std::to_string(samples * sequence_length) + ": one of the two is not this run's");
  }
}

StepOrder read_run(runtime::Files& files, const std::string& run, int64_t step) {
  const std::optional<json::object> config = RunDirectory(files, run).read_config();
  const json::object& options = config->at("options").as_object();
  const json::object& resolved = config->at("resolved").as_object();
  StepOrder order{.digest = resolved.at("data_digest"), .sequence_length = resolved.at("sequence_length").as_int64()};
  order.order.seed = static_cast<uint64_t>(options.at("seed").as_int64());
  if (options.at("data").is_string()) {  // before there were mixtures
    order.directories = {std::string(options.at("data").as_string())};
  } else {
    order.directories = json::value_to<std::vector<std::string>>(options.at("data"));
  }
  if (const json::value* shuffle = options.if_contains("shuffle"))
    order.order.shuffle = shuffle_of(shuffle->as_string());
  if (const json::value* weights = options.if_contains("data-weights")) {
    order.order.weights = json::value_to<std::vector<double>>(*weights);
  }
  const std::vector<BatchChange> changes = batch_changes(*config);
  const int64_t last_batch = options.at("global-batch-size").as_int64();
  check_log(files, run, changes, last_batch, order.sequence_length);
  const Position position = position_after(step - 1, changes, last_batch);
  order.first_sample = position.samples + samples_left_out(*config, step);
  order.samples = position.batch;
  return order;
}

}  // namespace

StepOrder step_order_of_run(runtime::Files& files, const std::string& run, int64_t step) {
  try {
    return read_run(files, run, step);
  } catch (const Error&) {
    throw;
  } catch (const std::exception&) {  // a member that is missing or of another type
    throw Error(ErrorKind::data, run + "/config.json or log.jsonl is not as a run writes it");
  }
}

StepOrder step_order_of_options(const DataOptions& options) {
  const int64_t batch = options.global_batch_size.value();
  return {.directories = options.paths,
          .digest = nullptr,
          .sequence_length = options.sequence_length.value(),
          .order = {.seed = static_cast<uint64_t>(options.seed.value_or(TrainOptions{}.seed)),
                    .shuffle = shuffle_of(options.shuffle),
                    .weights = options.data_weights},
          .first_sample = (options.step - 1) * batch,
          .samples = batch};
}

}  // namespace trireme::launch
