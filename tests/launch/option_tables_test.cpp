#include "launch/option_tables.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "runtime/error.h"

namespace trireme::launch {
namespace {

using Words = std::vector<std::string>;

template <typename Options>
Options parsed(const Words& words) {
  Options options;
  EXPECT_TRUE(fill_options(option_table(options), words));
  check(options);
  return options;
}

template <typename Options>
std::string error_of(const Words& words) {
  try {
    parsed<Options>(words);
  } catch (const runtime::Error& error) {
    EXPECT_EQ(error.kind(), runtime::ErrorKind::usage);
    return error.what();
  }
  return "";
}

Words train_words(const Words& more) {
  Words words{"--data", "d", "--run", "r", "--model", "nano", "--steps", "100"};
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

std::string train_error(const Words& more) {
  return error_of<TrainOptions>(train_words(more));
}

TEST(TrainOptions, DefaultsAreThoseOfTheDesign) {
  const auto options = parsed<TrainOptions>(train_words({}));
  EXPECT_EQ(options.learning_rate, 6e-4);
  EXPECT_DOUBLE_EQ(*options.min_learning_rate, 6e-5);
  EXPECT_EQ(options.warmup_steps, 0);
  EXPECT_EQ(options.schedule, "cosine");
  EXPECT_EQ(options.weight_decay, 0.1);
  EXPECT_EQ(options.clip_grad_norm, 1);
  EXPECT_EQ(options.dropout, 0);
  EXPECT_EQ(options.adam_beta1, 0.9);
  EXPECT_EQ(options.adam_beta2, 0.95);
  EXPECT_EQ(options.adam_epsilon, 1e-8);
  EXPECT_EQ(options.log_every, 10);
  EXPECT_EQ(options.threads, 0);
  EXPECT_EQ(options.resume, Resume{});
  EXPECT_EQ(options.precision, "fp32");
  EXPECT_EQ(options.recompute, "none");
  EXPECT_FALSE(options.profile);
  EXPECT_EQ(options.tensor_parallel, 1);
  EXPECT_EQ(options.pipeline_parallel, 1);
  EXPECT_EQ(options.pipeline_schedule, "1f1b");
  EXPECT_EQ(options.virtual_stages, 1);
  EXPECT_EQ(options.zero_stage, std::nullopt);
}

TEST(PlanOptions, AreThoseOfTrainOfWhichTheModelAloneIsNeeded) {
  const auto options = parsed<PlanOptions>({"--model", "nano", "--world-size", "4", "--warmup-steps", "10"});
  EXPECT_EQ(options.world_size, 4);
  EXPECT_EQ(options.train.warmup_steps, 10);
  EXPECT_EQ(options.train.steps, 0);
  TrainOptions train;
  PlanOptions plan;
  const std::vector<Option> of_plan = option_table(plan).options;
  for (const Option& option : option_table(train).options) {
    EXPECT_NE(std::ranges::find(of_plan, option.name, &Option::name), of_plan.end()) << option.name;
  }
  EXPECT_EQ(error_of<PlanOptions>({"--model", "nano", "--virtual-stages", "2"}),
            train_error({"--virtual-stages", "2"}));
}

TEST(TrainOptions, DefaultsAreValidForOneStep) {
  EXPECT_EQ(train_error({"--steps", "1"}), "");
}

TEST(TrainOptions, MinimumFollowsTheGivenLearningRate) {
  EXPECT_DOUBLE_EQ(*parsed<TrainOptions>(train_words({"--learning-rate", "0.002"})).min_learning_rate, 2e-4);
  EXPECT_EQ(*parsed<TrainOptions>(train_words({"--min-learning-rate", "0"})).min_learning_rate, 0);
}

TEST(TrainOptions, ContradictionsNameBothSides) {
  const std::string no_trace =
      "--trace-steps and --trace-skip say which steps --trace FILE records, which is not given";
  EXPECT_EQ(train_error({"--trace-steps", "3"}), no_trace);
  EXPECT_EQ(train_error({"--trace-skip", "3"}), no_trace);
  EXPECT_EQ(train_error({"--trace", "t.json", "--trace-steps", "3", "--trace-skip", "3"}), "");
  EXPECT_EQ(train_error({"--stop-at-step", "101"}), "--stop-at-step 101 lies beyond --steps 100");
  EXPECT_EQ(train_error({"--stop-at-step", "100"}), "");
  EXPECT_EQ(train_error({"--resume", "101"}), "--resume 101 lies beyond --steps 100");
  EXPECT_EQ(train_error({"--resume", "60", "--stop-at-step", "50"}), "--resume 60 lies beyond --stop-at-step 50");
  EXPECT_EQ(train_error({"--warmup-steps", "100"}),
            "--warmup-steps 100 leaves nothing of --steps 100: it must be less");
  EXPECT_EQ(train_error({"--warmup-steps", "99"}), "");
  EXPECT_EQ(train_error({"--pipeline-schedule", "zb-h1"}),
            "--pipeline-schedule zb-h1 needs a pipeline, and --pipeline-parallel 1 has one stage: use 2 or more, or "
            "leave it out");
  EXPECT_EQ(train_error({"--virtual-stages", "2"}),
            "--virtual-stages 2 needs stages to interleave, and --pipeline-parallel 1 has one: use 2 or more, or leave "
            "it out");
  EXPECT_EQ(train_error({"--virtual-stages", "2", "--pipeline-parallel", "2", "--pipeline-schedule", "zb-h1"}),
            "--virtual-stages 2 does not go with --pipeline-schedule zb-h1, which has one chunk a stage: use 1f1b, or "
            "leave it out");
  EXPECT_EQ(train_error({"--virtual-stages", "2", "--pipeline-parallel", "2"}), "");
  EXPECT_EQ(train_error({"--resume", "5", "--init-from", "a"}),
            "--resume 5 contradicts --init-from, which begins a new run: leave one of them out");
  EXPECT_EQ(train_error({"--init-tensors", "a*"}),
            "--init-tensors chooses among the tensors of --init-from, which is not given");
  EXPECT_EQ(train_error({"--init-from", "a", "--init-tensors", ""}), "--init-tensors: '' matches no tensor");
  EXPECT_EQ(train_error({"--init-from", "a", "--init-tensors", "a*", "b"}), "");
  EXPECT_EQ(train_error({"--min-learning-rate", "0.001"}), "--min-learning-rate 0.001 is above --learning-rate 0.0006");
}

TEST(TrainOptions, ReproducibleHasLanesOfItsOwnOrEight) {
  const auto lanes = [](const Words& more) { return parsed<TrainOptions>(train_words(more)).reproducible; };
  EXPECT_EQ(lanes({}), 0);
  EXPECT_EQ(lanes({"--reproducible"}), 8);
  EXPECT_EQ(lanes({"--reproducible", "--seed", "3"}), 8);
  EXPECT_EQ(lanes({"--reproducible=16"}), 16);
  EXPECT_EQ(lanes({"--reproducible=16", "--reproducible=false"}), 0) << "the last one counts";
  EXPECT_EQ(train_error({"--reproducible=many"}), "--reproducible: 'many' is not a whole number");
  EXPECT_EQ(train_error({"--reproducible=0"}), "--reproducible: '0' is out of range, 1 to 1048576");
  EXPECT_EQ(train_error({"--reproducible", "--device", "cuda"}),
            "--reproducible computes on CPUs so far, which --device cuda contradicts: leave one of them out");
  TrainOptions options;
  EXPECT_NE(help_text(option_table(options)).find("--reproducible[=LANES] "), std::string::npos);
}

TEST(TrainOptions, DataSetsAndTheirOrder) {
  const auto options = parsed<TrainOptions>({"--data", "a", "b", "--data-weights", "1", "0.5", "--shuffle", "blocked",
                                             "--document-mask", "--run", "r", "--model", "nano", "--steps", "1"});
  EXPECT_EQ(options.data, (Words{"a", "b"}));
  EXPECT_EQ(options.data_weights, (std::vector<double>{1, 0.5}));
  EXPECT_EQ(options.shuffle, "blocked");
  EXPECT_TRUE(options.document_mask);
  EXPECT_EQ(train_error({"--data", "a", "b", "a"}),
            "a is given twice as data: leave one out; --data-weights can give more of it");
  EXPECT_EQ(train_error({"--data", "a", ""}), "--data: '' is not a path");
  EXPECT_EQ(train_error({"--data-weights", "1"}), "--data-weights needs several data sets: leave it out for one");
  EXPECT_EQ(train_error({"--data", "a", "b", "--data-weights", "1"}),
            "--data-weights gives 1 weights for 2 data sets: give one for each");
  EXPECT_EQ(train_error({"--data", "a", "b", "--data-weights", "1", "0"}),
            "--data-weights: '0' is out of range, above 0");
  EXPECT_EQ(train_error({"--shuffle", "none"}), "--shuffle: 'none' is not one of full, blocked");
}

TEST(TrainOptions, RangesAreChecked) {
  EXPECT_EQ(train_error({"--steps", "0"}), "--steps: '0' is out of range, at least 1");
  EXPECT_EQ(train_error({"--stop-at-step", "0"}), "--stop-at-step: '0' is out of range, at least 1");
  EXPECT_EQ(train_error({"--global-batch-size", "0"}), "--global-batch-size: '0' is out of range, 1 to 1073741824");
  EXPECT_EQ(train_error({"--threads", "0"}), "--threads: '0' is out of range, 1 to 4096");
  EXPECT_EQ(train_error({"--learning-rate", "-1"}), "--learning-rate: '-1' is out of range, at least 0");
  EXPECT_EQ(train_error({"--adam-beta2", "1"}), "--adam-beta2: '1' is out of range, at least 0 and below 1");
  EXPECT_EQ(train_error({"--adam-epsilon", "0"}), "--adam-epsilon: '0' is out of range, above 0");
  EXPECT_EQ(train_error({"--time-limit", "soon"}),
            "--time-limit: 'soon' is not a time such as 90s, 30m, 12h, 2d or 1-12:00:00, 3650d at most");
  EXPECT_EQ(train_error({"--time-limit", "1e300"}),
            "--time-limit: '1e300' is not a time such as 90s, 30m, 12h, 2d or 1-12:00:00, 3650d at most");
  EXPECT_EQ(train_error({"--time-limit", "0s"}), "--time-limit: '0s' is no time at all: give more, or leave it out");
  EXPECT_EQ(train_error({"--dropout", "1"}), "--dropout: '1' is out of range, at least 0 and below 1");
  EXPECT_EQ(train_error({"--seed", "-1"}), "--seed: '-1' is out of range, at least 0");
  EXPECT_EQ(train_error({"--log-every", "0"}), "--log-every: '0' is out of range, at least 1");
  EXPECT_EQ(train_error({"--checkpoint-every", "-1"}), "--checkpoint-every: '-1' is out of range, at least 0");
  EXPECT_EQ(train_error({"--run", ""}), "--run: '' is not a path");
  EXPECT_EQ(train_error({"--device", "tpu"}), "--device: 'tpu' is not one of auto, cpu, cuda");
  EXPECT_EQ(train_error({"--precision", "fp16"}), "--precision: 'fp16' is not one of fp32, bf16");
  EXPECT_EQ(train_error({"--recompute", "some"}), "--recompute: 'some' is not one of none, selective, full");
  EXPECT_EQ(train_error({"--tensor-parallel", "0"}), "--tensor-parallel: '0' is out of range, 1 to 1048576");
  EXPECT_EQ(train_error({"--zero-stage", "4"}), "--zero-stage: '4' is out of range, 0 to 3");
  EXPECT_EQ(train_error({"--pipeline-schedule", "zb"}), "--pipeline-schedule: 'zb' is not one of 1f1b, zb-h1, gpipe");
  EXPECT_EQ(train_error({"--calibration", ""}), "--calibration: '' is not a path");
}

TEST(PrepareOptions, TakesListsAndSeparators) {
  const auto options = parsed<PrepareOptions>({"--input", "a", "b", "--output", "o", "--document-separator", "\\n\\n"});
  EXPECT_EQ(options.input, (Words{"a", "b"}));
  EXPECT_EQ(options.document_separator, "\n\n");
  EXPECT_EQ(error_of<PrepareOptions>({"--input", "a", "", "--output", "o"}), "--input: '' is not a path");
  EXPECT_EQ(options.tokenizer, "byte");
  EXPECT_EQ(error_of<PrepareOptions>({"--input", "a", "--output", "o", "--validation-fraction", "1"}),
            "--validation-fraction: '1' is out of range, at least 0 and below 1");
  EXPECT_EQ(error_of<PrepareOptions>({"--output", "o"}), "prepare needs --input PATH...; see trireme prepare --help");
}

TEST(PrepareOptions, TokenizersAreGivenOrLearned) {
  const auto error = [](Words words) {
    words.insert(words.begin(), {"--input", "a", "--output", "o"});
    return error_of<PrepareOptions>(words);
  };
  EXPECT_EQ(error({"--train-tokenizer", "bpe", "--vocab-size", "32000"}), "");
  EXPECT_EQ(error({"--train-tokenizer", "wordpiece"}), "--train-tokenizer: 'wordpiece' is not known: use bpe");
  EXPECT_EQ(error({"--train-tokenizer", "bpe"}), "--train-tokenizer needs --vocab-size N, for example 32000");
  EXPECT_EQ(error({"--train-tokenizer", "bpe", "--vocab-size", "1000", "--tokenizer", "byte"}),
            "--train-tokenizer contradicts --tokenizer byte: leave one of them out");
  EXPECT_EQ(error({"--vocab-size", "300"}), "--vocab-size 300 is for --train-tokenizer bpe, which is not given");
  EXPECT_EQ(error({"--train-tokenizer", "bpe", "--vocab-size", "256"}),
            "--vocab-size: '256' is out of range, 257 to 1048575");
  EXPECT_EQ(error({"--split-pattern", "o200k"}),
            "--split-pattern is for --train-tokenizer bpe, which is not given; a tokenizer of a file has its own");
  EXPECT_EQ(error({"--train-tokenizer", "bpe", "--vocab-size", "300", "--split-pattern", ""}),
            "--split-pattern is empty: give gpt2, cl100k, llama3, o200k or a regular expression");
  EXPECT_NE(
      error({"--train-tokenizer", "bpe", "--vocab-size", "300", "--split-pattern", "(a"}).find("--split-pattern: "),
      std::string::npos);
  EXPECT_EQ(error({"--end-of-text", "</s>"}),
            "--end-of-text chooses among the tokens of a --tokenizer file, which is not given");
  EXPECT_EQ(error({"--normal-form", "nfc", "--invalid-utf8", "keep"}),
            "--normal-form nfc wants UTF-8, which --invalid-utf8 keep does not give: use repair");
}

TEST(GenerateOptions, ProbabilitiesAreChecked) {
  EXPECT_EQ(error_of<GenerateOptions>({"--model", "m", "--temperature", "-0.5"}),
            "--temperature: '-0.5' is out of range, at least 0");
  EXPECT_EQ(error_of<GenerateOptions>({"--model", "m", "--top-p", "0"}),
            "--top-p: '0' is out of range, above 0 and at most 1");
  EXPECT_EQ(error_of<GenerateOptions>({"--model", "m", "--top-p", "1", "--top-k", "0", "--temperature", "0"}), "");
}

TEST(EvaluateOptions, NeedsModelAndData) {
  EXPECT_EQ(error_of<EvaluateOptions>({"--model", "m"}), "evaluate needs --data DIR...; see trireme evaluate --help");
  EXPECT_EQ(parsed<EvaluateOptions>({"--model", "m", "--data", "d"}).data, (Words{"d"}));
}

TEST(BenchOptions, NeedsToBeToldToCalibrate) {
  EXPECT_EQ(error_of<BenchOptions>({}),
            "bench needs --calibrate, the one thing that it does; see trireme bench --help");
  const auto options = parsed<BenchOptions>({"--calibrate", "--threads", "3"});
  EXPECT_TRUE(options.calibrate);
  EXPECT_EQ(options.output, "calibration.json");
  EXPECT_EQ(options.threads, 3);
}

TEST(EvaluateOptions, PrecisionIsThatOfTheRunUnlessGiven) {
  EXPECT_EQ(parsed<EvaluateOptions>({"--model", "m", "--data", "d"}).precision, "");
  EXPECT_EQ(parsed<GenerateOptions>({"--model", "m", "--precision", "bf16"}).precision, "bf16");
  EXPECT_EQ(error_of<GenerateOptions>({"--model", "m", "--precision", "int8"}),
            "--precision: 'int8' is not one of fp32, bf16");
}

TEST(CheckpointOptions, ActionsTakeTheirPaths) {
  EXPECT_EQ(parsed<CheckpointOptions>({"diff", "a", "b"}).paths, (Words{"a", "b"}));
  EXPECT_EQ(parsed<CheckpointOptions>({"verify", "a"}).action, "verify");
  EXPECT_EQ(error_of<CheckpointOptions>({"diff", "a"}), "checkpoint diff takes two paths, got 1");
  EXPECT_EQ(error_of<CheckpointOptions>({"list", "a", "b"}), "checkpoint list takes one path, got 2");
  EXPECT_EQ(error_of<CheckpointOptions>({"verfy", "a"}),
            "'verfy' is not an action of checkpoint; did you mean verify?");
  EXPECT_EQ(error_of<CheckpointOptions>({}),
            "checkpoint needs an action: list, show, verify, pin, unpin, diff or merge; see trireme checkpoint --help");
  const auto merge = parsed<CheckpointOptions>({"merge", "a", "--output", "b.h5", "--tensors", "x*", "y*"});
  EXPECT_EQ(merge.paths, (Words{"a"}));
  EXPECT_EQ(merge.tensors, (Words{"x*", "y*"}));
  EXPECT_EQ(error_of<CheckpointOptions>({"merge", "a"}), "checkpoint merge needs --output FILE.h5 or FILE.safetensors");
  EXPECT_EQ(error_of<CheckpointOptions>({"verify", "a", "--overwrite"}),
            "checkpoint verify takes no options: they are those of checkpoint merge");
}

}  // namespace
}  // namespace trireme::launch
