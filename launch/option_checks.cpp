#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <limits>
#include <optional>
#include <utility>

#include "data/splitter.h"
#include "launch/number_text.h"
#include "launch/option_tables.h"
#include "launch/reference_layout.h"
#include "launch/slurm/job_time.h"
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

/// Repeated directories and weights that do not fit them.
void check_data(const std::vector<std::string>& data, const std::vector<double>& weights) {
  for (auto one = data.begin(); one != data.end(); ++one) {
    require(std::find(data.begin(), one, *one) == one,
            *one + " is given twice as data: leave one out; --data-weights can give more of it");
  }
  if (weights.empty()) return;
  require(data.size() > 1, "--data-weights needs several data sets: leave it out for one");
  require(weights.size() == data.size(), "--data-weights gives " + std::to_string(weights.size()) + " weights for " +
                                             std::to_string(data.size()) + " data sets: give one for each");
}

void check_split_pattern(const std::string& pattern) {
  require(!pattern.empty(), "--split-pattern is empty: give gpt2, cl100k, llama3, o200k or a regular expression");
  if (data::pattern_by_name(pattern) != nullptr) return;
  const bool is_word = std::ranges::all_of(pattern, [](unsigned char c) { return std::isalnum(c) != 0; });
  const auto nearest = nearest_name(pattern, {"gpt2", "cl100k", "llama3", "o200k"});
  require(!is_word, "--split-pattern: '" + pattern + "' is neither a known name nor an expression that cuts text; " +
                        (nearest ? "did you mean " + *nearest + "?" : "use gpt2, cl100k, llama3 or o200k"));
  try {
    data::make_splitter(pattern);
  } catch (const runtime::Error& error) {
    require(false, "--split-pattern: " + std::string(error.what()) +
                       "; give gpt2, cl100k, llama3, o200k or a regular expression");
  }
}

}  // namespace

void check(PrepareOptions& options) {
  for (const std::string& path : options.input) require(!path.empty(), "--input: '' is not a path");
  const bool trains = !options.train_tokenizer.empty();
  require(!trains || options.tokenizer.empty(),
          "--train-tokenizer contradicts --tokenizer " + options.tokenizer + ": leave one of them out");
  require(!trains || options.vocabulary_size > 0, "--train-tokenizer needs --vocab-size N, for example 32000");
  require(trains || options.vocabulary_size == 0,
          given("vocab-size", options.vocabulary_size) + " is for --train-tokenizer bpe, which is not given");
  require(trains || options.split_pattern == PrepareOptions{}.split_pattern,
          "--split-pattern is for --train-tokenizer bpe, which is not given; a tokenizer of a file has its own");
  if (trains) check_split_pattern(options.split_pattern);
  if (!trains && options.tokenizer.empty()) options.tokenizer = "byte";
  require(options.end_of_text.empty() || (!trains && options.tokenizer != "byte"),
          "--end-of-text chooses among the tokens of a --tokenizer file, which is not given");
  require(options.invalid_utf8 != "keep" || options.normal_form == "none",
          "--normal-form " + options.normal_form + " wants UTF-8, which --invalid-utf8 keep does not give: use repair");
}

void check(TrainOptions& o) {
  check_data(o.data, o.data_weights);
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
  require(
      o.rollback_after == 0 || o.checkpoint_every > 0,
      given("rollback-after", o.rollback_after) +
          " needs checkpoints to go back to, and --checkpoint-every 0 makes none on the way: give a number of steps");
  const TrainOptions defaults;
  require(!o.trace.empty() || (o.trace_steps == defaults.trace_steps && o.trace_skip == defaults.trace_skip),
          "--trace-steps and --trace-skip say which steps --trace FILE records, which is not given");
  require(o.reproducible == 0 || o.device != "cuda",
          "--reproducible computes on CPUs so far, which --device cuda contradicts: leave one of them out");
  constexpr double kLeastWatchdog = 3;  // seconds: beats and a busy machine need some
  require(o.watchdog_timeout == 0 || o.watchdog_timeout >= kLeastWatchdog,
          "--watchdog-timeout " + number_text(o.watchdog_timeout) +
              " would take a busy rank for a hanging one: use 3 seconds or more, or 0 for no watchdog");
  require(o.schedule != "constant" || !o.min_learning_rate,
          "--min-learning-rate contradicts --schedule constant, which keeps the peak: leave one of them out");
  if (!o.min_learning_rate) o.min_learning_rate = o.learning_rate / 10;
  require(*o.min_learning_rate <= o.learning_rate, "--min-learning-rate " + number_text(*o.min_learning_rate) +
                                                       " is above --learning-rate " + number_text(o.learning_rate));
}

void check(PlanOptions& o) {
  const int64_t steps = o.train.steps;
  if (steps == 0) o.train.steps = std::numeric_limits<int64_t>::max();  // nothing lies beyond it
  const int64_t stages = o.train.pipeline_parallel;
  const bool chooses_stages = o.search && std::ranges::find(o.given, "pipeline-parallel") == o.given.end();
  if (chooses_stages) o.train.pipeline_parallel = 2;  // a given schedule is no contradiction
  check(o.train);
  o.train.pipeline_parallel = stages;
  o.train.steps = steps;
  require(!o.search || o.train.reproducible == 0,
          "--search does not look through reproducible layouts; plan them one by one, without --search");
  require(o.search || o.top == PlanOptions{}.top, given("top", o.top) + " is for --search, which is not given");
}

void check(SubmitOptions& o) {
  TrainOptions train = o.train;  // a copy: values that depend on others are for each task to fill in
  check(train);
  require(o.train.resume.mode == Resume::Mode::automatic,
          "--resume is not for submit: a job goes on from the newest checkpoint whenever it is started again; leave it "
          "out, or give `trireme train` --resume in a script of yours");
  const auto is_plain = [](const std::string& text) {  // a space or a quote would mean something in the script's header
    return std::ranges::all_of(
        text, [](unsigned char c) { return std::isalnum(c) != 0 || (c != 0 && std::strchr("._-:+,", c)); });
  };
  for (const auto& [name, value] : {std::pair{"partition", &o.partition},  // several: short,long
                                    {"account", &o.account},
                                    {"job-name", &o.job_name},
                                    {"after", &o.after}}) {
    require(is_plain(*value),
            "--" + std::string(name) + ": '" + *value + "' has other than letters, digits and ._-:+,");
  }
  require(o.after.find_first_not_of("0123456789_") == std::string::npos,
          "--after " + o.after + " is not the number of a job; take the last line that submit or sbatch printed");
  const std::optional<double> limit_seconds = slurm_seconds(o.time);
  require(limit_seconds.has_value(),
          "--time " + o.time + " is no limit as Slurm writes it: use MINUTES, HH:MM:SS or D-HH:MM:SS, or 0 for none");
  require(*limit_seconds >= 120, "--time " + o.time + ": Slurm warns up to a minute early: use two minutes or more");
  constexpr int64_t kMostRanks = 1 << 20;
  require(o.ranks_per_node <= kMostRanks / o.nodes, given("nodes", o.nodes) + " x " +
                                                        given("ranks-per-node", o.ranks_per_node) + " are more than " +
                                                        std::to_string(kMostRanks) + " ranks");
  const bool on_gpu = o.train.device == "cuda";
  require(on_gpu || o.gpus_per_node == 0, given("gpus-per-node", o.gpus_per_node) + " needs --device cuda");
  require(!on_gpu || o.gpus_per_node > 0, "--device cuda needs --gpus-per-node N");
  require(!on_gpu || o.nodes * o.ranks_per_node == 1,
          "--device cuda computes on one GPU so far, and " + std::to_string(o.nodes * o.ranks_per_node) +
              " ranks are asked for: use --nodes 1 --ranks-per-node 1, or --device cpu");
}

void check(VerifyOptions& o) {
  if (o.train.steps == 0) o.train.steps = o.train.warmup_steps + 1000;
  check(o.train);
  require(!o.train.data.empty() || !o.train.document_mask,
          "--document-mask needs documents to keep apart, and random tokens have none: give --data");
  parse_reference_layout(o.reference_layout);
}

void check(EvaluateOptions&) {}

void check(GenerateOptions&) {}

void check(BenchOptions& options) {
  require(options.calibrate, "bench needs --calibrate, the one thing that it does; see trireme bench --help");
}

void check(DataOptions& options) {
  require(!options.paths.empty(), "data needs an action: show; see trireme data --help");
  options.action = options.paths.front();
  options.paths.erase(options.paths.begin());
  require(options.action == "show", "'" + options.action + "' is not an action of data; use show");
  require(!options.paths.empty(), "data show needs a run or a prepared directory");
  for (const std::string& path : options.paths) require(!path.empty(), "data show: '' is not a path");
  require(options.step > 0, "data show needs --step N");
  check_data(options.paths, options.data_weights);
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
