#include <algorithm>
#include <array>

#include "launch/number_text.h"
#include "launch/option_tables.h"
#include "launch/suggestion.h"
#include "runtime/error.h"

namespace trireme::launch {
namespace {

void require(bool holds, const std::string& otherwise) {
  if (!holds) throw runtime::Error(runtime::ErrorKind::usage, otherwise);
}

std::string given(const std::string& option, int64_t value) {
  return "--" + option + " " + std::to_string(value);
}

}  // namespace

void check(PrepareOptions& options) {
  for (const std::string& path : options.input) require(!path.empty(), "--input: '' is not a path");
}

void check(TrainOptions& o) {
  require(o.stop_at_step <= o.steps, given("stop-at-step", o.stop_at_step) + " lies beyond " + given("steps", o.steps));
  require(o.resume.step <= o.steps, given("resume", o.resume.step) + " lies beyond " + given("steps", o.steps));
  require(o.stop_at_step == 0 || o.resume.step <= o.stop_at_step,
          given("resume", o.resume.step) + " lies beyond " + given("stop-at-step", o.stop_at_step));
  require(o.init_from.empty() || o.resume.mode != Resume::Mode::step,
          given("resume", o.resume.step) + " contradicts --init-from, which begins a new run: leave one of them out");
  require(!o.init_from.empty() || o.init_tensors == TrainOptions{}.init_tensors,
          "--init-tensors chooses among the tensors of --init-from, which is not given");
  require(std::ranges::find(o.init_tensors, "") == o.init_tensors.end(), "--init-tensors: '' matches no tensor");
  require(o.warmup_steps < o.steps, given("warmup-steps", o.warmup_steps) + " leaves nothing of " +
                                        given("steps", o.steps) + ": it must be less");
  require(o.virtual_stages == 1 || o.pipeline_parallel > 1,
          given("virtual-stages", o.virtual_stages) + " needs stages to interleave, and " +
              given("pipeline-parallel", o.pipeline_parallel) + " has one: use 2 or more, or leave it out");
  require(o.pipeline_schedule == "1f1b" || o.pipeline_parallel > 1,
          "--pipeline-schedule " + o.pipeline_schedule + " needs a pipeline, and " +
              given("pipeline-parallel", o.pipeline_parallel) + " has one stage: use 2 or more, or leave it out");
  require(o.virtual_stages == 1 || o.pipeline_schedule != "zb-h1",
          given("virtual-stages", o.virtual_stages) +
              " does not go with --pipeline-schedule zb-h1, which has one chunk a stage: use 1f1b, or leave it out");
  require(o.schedule != "constant" || !o.min_learning_rate,
          "--min-learning-rate contradicts --schedule constant, which keeps the peak: leave one of them out");
  if (!o.min_learning_rate) o.min_learning_rate = o.learning_rate / 10;
  require(*o.min_learning_rate <= o.learning_rate, "--min-learning-rate " + number_text(*o.min_learning_rate) +
                                                       " is above --learning-rate " + number_text(o.learning_rate));
}

void check(EvaluateOptions&) {}

void check(GenerateOptions&) {}

void check(BenchOptions& options) {
  require(options.calibrate, "bench needs --calibrate, the one thing that it does; see trireme bench --help");
}

void check(CheckpointOptions& options) {
  static const std::vector<std::string> kActions{"list", "show", "verify", "pin", "unpin", "diff", "merge"};
  require(!options.paths.empty(),
          "checkpoint needs an action: list, show, verify, pin, unpin, diff or merge; see trireme checkpoint --help");
  options.action = options.paths.front();
  options.paths.erase(options.paths.begin());
  if (std::find(kActions.begin(), kActions.end(), options.action) == kActions.end()) {
    const auto nearest = nearest_name(options.action, kActions);
    require(false,
            "'" + options.action + "' is not an action of checkpoint; " +
                (nearest ? "did you mean " + *nearest + "?" : "use list, show, verify, pin, unpin, diff or merge"));
  }
  const size_t wanted = options.action == "diff" ? 2 : 1;
  require(options.paths.size() == wanted, "checkpoint " + options.action + " takes " +
                                              (wanted == 2 ? "two paths" : "one path") + ", got " +
                                              std::to_string(options.paths.size()));
  for (const std::string& path : options.paths)
    require(!path.empty(), "checkpoint " + options.action + ": '' is not a path");
  if (options.action == "merge") {
    require(!options.output.empty(), "checkpoint merge needs --output FILE.h5 or FILE.safetensors");
    return;
  }
  const CheckpointOptions defaults;
  require(
      options.output.empty() && options.tensors == defaults.tensors && !options.with_optimizer && !options.overwrite,
      "checkpoint " + options.action + " takes no options: they are those of checkpoint merge");
}

}  // namespace trireme::launch
