// `trireme plan`: what a layout would need and how fast it would be, before anything is launched. No data, run or GPU
// is needed; what the ranks would do is run dry here.
#include <cstdio>
#include <optional>
#include <string>

#include "launch/calibration_source.h"
#include "launch/commands.h"
#include "launch/data_sets.h"
#include "launch/device_choice.h"
#include "launch/json_text.h"
#include "launch/execution_words.h"
#include "launch/layout_plan.h"
#include "launch/memory_advice.h"
#include "launch/model_source.h"
#include "launch/plan_report.h"
#include "launch/plan_search.h"
#include "launch/training_settings.h"
#include "runtime/error.h"
#include "runtime/log.h"
#include "runtime/threads.h"

namespace trireme::launch {
namespace {

using runtime::Error;
using runtime::ErrorKind;

/// Ends for a plan that does not fit, as for files that differ or are damaged.
constexpr int kDoesNotFit = 1;

/// By which a GPU is planned where none is chosen.
constexpr const char* kProfileOfGpus = "h100";

/// A model without a vocabulary takes that of --data, as in training, or that of bytes.
std::string complete_vocabulary(runtime::Files& files, const TrainOptions& options, model::ModelConfig& config) {
  constexpr int64_t kBytesAndEndOfText = 257;
  if (config.vocabulary_size > 0) return "";
  if (options.data.empty()) {
    config.vocabulary_size = kBytesAndEndOfText;
    return "256 bytes and end of text; --data DIR would give its own";
  }
  config.vocabulary_size = open_training(files, options.data).front().vocabulary_size();
  return "that of --data " + options.data.front();
}

/// auto: a GPU where the calibration is a profile of such, else what train would choose on this machine.
std::string device_of(const PlanOptions& options) {
  const std::string& device = options.train.device;
  if (device != "auto") return device;
  if (is_profile(options.train.calibration)) return "cuda";
  return std::string(runtime::name(choose_device("auto", static_cast<int>(options.world_size))));
}

PlannedTraining training_of(runtime::Files& files, const PlanOptions& options, PlanSources& sources) {
  PlannedTraining training{.options = options.train, .config = model_to_train(files, options.train.model)};
  sources.vocabulary = complete_vocabulary(files, options.train, training.config);
  training.sequence_length = resolve_sequence_length(options.train, training.config);
  training.options.device = device_of(options);
  sources.calibration = options.train.calibration;
  if (sources.calibration.empty() && training.options.device == "cuda") sources.calibration = kProfileOfGpus;
  if (!sources.calibration.empty()) {
    training.calibration = find_calibration(files, "calibration", sources.calibration);
  }
  if (options.ranks_per_node > 0) training.calibration.ranks_per_node = options.ranks_per_node;
  return training;
}

/// Tensor parallelism is searched for inside of a machine. Where neither option nor profile knows how many ranks one
/// has, all are on one.
int ranks_of_machine(const PlanOptions& options, const PlannedTraining& training) {
  const int known = ranks_per_node(training.calibration);
  return known > 1 || options.ranks_per_node > 0 ? known : static_cast<int>(options.world_size);
}

void print(const std::string& text) {
  const bool written = std::fwrite(text.data(), 1, text.size(), stdout) == text.size() && std::fflush(stdout) == 0;
  if (!written) throw Error(ErrorKind::io, "cannot write to standard output");
}

}  // namespace

int run_plan(const PlanOptions& options) {
  runtime::use_threads(options.train.threads);  // on CPUs each has scratch of its own
  PlanSources sources;
  const PlannedTraining training = training_of(runtime::real_files(), options, sources);
  if (options.search) {
    const FoundLayouts found = search_plans({.training = training,
                                             .given = options.given,
                                             .ranks = static_cast<int>(options.world_size),
                                             .ranks_per_machine = ranks_of_machine(options, training),
                                             .device_memory_gb = options.train.device_memory,
                                             .top = static_cast<size_t>(options.top),
                                             .json = options.json});
    print(found.text);
    return found.any_fits ? 0 : kDoesNotFit;
  }
  const Layout layout =
      resolve_layout(options.train, training.config, training.sequence_length, static_cast<int>(options.world_size));
  const LayoutPlan plan = plan_layout(training, layout, recompute_of(options.train.recompute, "--recompute"));
  print(options.json ? json_text(plan_json(training, plan, sources)) : plan_table(training, plan, sources));
  if (fits(training, plan)) return 0;
  const auto limit_bytes = static_cast<int64_t>(*options.train.device_memory * 1e9);
  runtime::log_warning("does not fit; " + memory_advice(training, layout, limit_bytes));
  return kDoesNotFit;
}

}  // namespace trireme::launch
