#include "launch/option_tables.h"

#include <map>

#include "data/bpe_vocabulary.h"
#include "launch/device_choice.h"
#include "launch/execution_words.h"

namespace trireme::launch {
namespace {

constexpr WholeRange kPositive{.least = 1};
constexpr WholeRange kSize{.least = 1, .most = 1 << 30};
constexpr WholeRange kRanks{.least = 1, .most = 1 << 20};
constexpr WholeRange kTraceSteps{.least = 1, .most = 1000000};
constexpr WholeRange kThreads{.least = 1, .most = 4096};
constexpr RealRange kBelowOne{.least = 0, .most = 1, .most_excluded = true};

Option threads_option(int64_t& threads) {
  return with_default_note(whole_option("threads", threads, kThreads, "OpenMP threads of a rank"),
                           "OMP_NUM_THREADS, else the cores of this rank");
}

Option device_option(std::string& device) {
  return choice_option("device", device, device_words(), "Where to compute; auto: on the GPU when there is one");
}

Option precision_of_run_option(std::string& precision) {
  return with_default_note(
      choice_option("precision", precision, precision_words(), "Precision of activations and weights"),
      "that of the run");
}

Option sequence_length_option(int64_t& length, const std::string& otherwise) {
  return with_default_note(whole_option("sequence-length", length, kSize, "Tokens of a sequence"), otherwise);
}

Option data_weights_option(std::vector<double>& weights) {
  return real_list_option("data-weights", weights, {.least = 0, .least_excluded = true},
                          "Of several data sets: how much of the training each gets, on any scale");
}

Option shuffle_option(std::string& shuffle) {
  return choice_option("shuffle", shuffle, {"full", "blocked"},
                       "Order of an epoch; blocked reads blocks of 32 MiB, for storage slow at random places");
}

void add_order(std::vector<Option>& table, TrainOptions& o) {
  table.push_back(with_default_note(data_weights_option(o.data_weights), "their sizes"));
  table.push_back(shuffle_option(o.shuffle));
  table.push_back(flag_option("document-mask", o.document_mask,
                              "Keep documents apart: no attention between them, positions from each one's start"));
}

void add_training_length(std::vector<Option>& table, TrainOptions& o) {
  table.push_back(required(whole_option("steps", o.steps, kPositive, "Length of training and of the schedule")));
  table.push_back(with_default_note(
      whole_option("stop-at-step", o.stop_at_step, kPositive, "Save and end after this step"), "--steps"));
  table.push_back(whole_option("global-batch-size", o.global_batch_size, kSize, "Sequences of a step, all ranks"));
  table.push_back(with_default_note(
      whole_option("microbatch-size", o.microbatch_size, kSize, "Sequences of one forward and backward pass"),
      "all of a rank's; with a pipeline the largest of which there are 4 a stage"));
  table.push_back(sequence_length_option(o.sequence_length, "the model's positions"));
  table.push_back(device_option(o.device));
  table.push_back(threads_option(o.threads));
  table.push_back(choice_option("precision", o.precision, precision_words(),
                                "Of activations and of the weights that layers read; sums and updates are fp32"));
  table.push_back(choice_option("recompute", o.recompute, recompute_words(),
                                "What backward computes again instead of keeping it, to save memory"));
  table.push_back(with_default_note(
      real_option("device-memory", o.device_memory, {.least = 0, .least_excluded = true},
                  "GB that a rank may take: a plan that needs more is refused, and what would need less is named"),
      "what the machine has free"));
}

void add_layout(std::vector<Option>& table, TrainOptions& o) {
  table.push_back(whole_option("tensor-parallel", o.tensor_parallel, kRanks,
                               "Ranks that share each layer; ranks / (tensor x pipeline parallel) share the batch"));
  table.push_back(
      whole_option("pipeline-parallel", o.pipeline_parallel, kRanks, "Ranks, the stages, that share the layers"));
  table.push_back(choice_option("pipeline-schedule", o.pipeline_schedule, schedule_words(),
                                "Order of forward and backward in a stage"));
  table.push_back(whole_option("virtual-stages", o.virtual_stages, {.least = 1, .most = 1 << 16},
                               "Chunks of layers of a stage; more than 1 interleave"));
  table.push_back(with_default_note(
      whole_option("zero-stage", o.zero_stage, {.least = 0, .most = 3},
                   "What data-parallel ranks share out: 1 optimizer, 2 gradients too, 3 parameters too"),
      "1 with data parallelism, else 0"));
  table.push_back(
      whole_flag_option("reproducible", o.reproducible, {.least = 1, .most = kRanks.most}, 8, "LANES",
                        "The same bits in every layout without tensor parallelism, for time and memory; LANES "
                        "(8): a power of two that divides the batch, a multiple of the data-parallel ranks"));
}

void add_optimizer(std::vector<Option>& table, TrainOptions& o) {
  table.push_back(real_option("learning-rate", o.learning_rate, {}, "Peak learning rate"));
  table.push_back(with_default_note(
      real_option("min-learning-rate", o.min_learning_rate, {}, "Learning rate at the end of the schedule"),
      "a tenth of --learning-rate"));
  table.push_back(whole_option("warmup-steps", o.warmup_steps, {}, "Steps in which the learning rate rises from 0"));
  table.push_back(
      choice_option("schedule", o.schedule, {"constant", "linear", "cosine", "wsd"}, "Learning rate after warm-up"));
  table.push_back(real_option("weight-decay", o.weight_decay, {}, "AdamW's decay of matrices"));
  table.push_back(real_option("adam-beta1", o.adam_beta1, kBelowOne, "AdamW's average of gradients"));
  table.push_back(real_option("adam-beta2", o.adam_beta2, kBelowOne, "AdamW's average of squares"));
  table.push_back(
      real_option("adam-epsilon", o.adam_epsilon, {.least = 0, .least_excluded = true}, "AdamW's smallest divisor"));
  table.push_back(real_option("clip-grad-norm", o.clip_grad_norm, {}, "Largest gradient norm, 0: no clipping"));
  table.push_back(real_option("skip-outliers", o.skip_outliers, {},
                              "No update above the mean loss or gradient norm by so many standard deviations, 0: off"));
  table.push_back(whole_option("rollback-after", o.rollback_after, {},
                               "Skipped steps in a row after which a run goes back to a checkpoint, past the data that "
                               "it failed on; 0: never"));
  table.push_back(real_option("dropout", o.dropout, kBelowOne, "Dropout of embeddings and residual branches"));
  table.push_back(whole_option("seed", o.seed, {}, "Of initial weights, sample order and dropout"));
}

void add_bookkeeping(std::vector<Option>& table, TrainOptions& o) {
  table.push_back(resume_option("resume", o.resume, "Where to begin: the newest good checkpoint, anew, or a step"));
  table.push_back(with_default_note(
      path_option("init-from", o.init_from, "DIR",
                  "A new run begins with the weights of this run or step directory; one with checkpoints resumes"),
      "by --seed"));
  table.push_back(list_option("init-tensors", o.init_tensors, "PATTERN",
                              "Tensors that --init-from gives, shell patterns in quotes; others begin by --seed"));
  table.push_back(
      whole_option("checkpoint-every", o.checkpoint_every, {}, "Steps between checkpoints, 0: only the last"));
  table.push_back(whole_option("keep-last", o.keep_last, {},
                               "Newest checkpoints to keep, 0: all; two good ones always stay, with 1 too"));
  table.push_back(
      whole_option("keep-every", o.keep_every, {},
                   "Checkpoints to keep besides, of steps that this divides, 0: none; pinned ones stay too"));
  table.push_back(with_default_note(
      real_option("snapshot-memory", o.snapshot_memory, {.least = 0},
                  "GB a rank takes to copy a step that is being saved; training waits for what does not fit"),
      "as much as it needs, or as there is"));
  table.push_back(with_default_note(
      duration_option(
          "time-limit", o.time_limit,
          "Save and end (exit 75) before so much time has passed: seconds, 90s, 30m, 12h, 2d, [D-]HH:MM:SS"),
      "that of the Slurm job, where there is one; the earlier one counts"));
  table.push_back(whole_option("validate-every", o.validate_every, {}, "Steps between validations, 0: only the last"));
  table.push_back(whole_option("log-every", o.log_every, kPositive, "Steps between lines of the log"));
  table.push_back(with_default_note(
      path_option("calibration", o.calibration, "FILE", "Peaks by trireme bench --calibrate, for mfu and --profile"),
      "no mfu"));
  table.push_back(flag_option("profile", o.profile, "Print at the end where the time of a step went"));
  table.push_back(with_default_note(
      path_option("trace", o.trace, "FILE",
                  "Record steps of all ranks, ops, messages and who waits for whom, for ui.perfetto.dev"),
      "none"));
  table.push_back(whole_option("trace-steps", o.trace_steps, kTraceSteps, "Steps that --trace records"));
  table.push_back(whole_option("trace-skip", o.trace_skip, kTraceSteps, "Steps of this start before those"));
  table.push_back(real_option("watchdog-timeout", o.watchdog_timeout, {},
                              "Seconds without progress, ten times as many where files are read and written, after "
                              "which a rank that others wait for ends the job, 0: never"));
}

void add_job(std::vector<Option>& table, SubmitOptions& o) {
  table.push_back(whole_option("nodes", o.nodes, kRanks, "Machines of the job"));
  table.push_back(whole_option("ranks-per-node", o.ranks_per_node, kRanks, "Ranks on each of them"));
  table.push_back(path_option("time", o.time, "LIMIT",
                              "Longest time of a start, as Slurm writes it: [D-]HH:MM:SS, or minutes; 0: no limit"));
  table.push_back(with_default_note(
      real_option("memory", o.memory, {.least = 0, .least_excluded = true}, "GB of memory to ask for on each machine"),
      "what the ranks plan, and some more"));
  table.push_back(with_default_note(whole_option("gpus-per-node", o.gpus_per_node, {.least = 1, .most = 64},
                                                 "GPUs of each machine, for --device cuda"),
                                    "none"));
  table.push_back(choice_option("launcher", o.launcher, {"srun", "mpirun"}, "What starts the ranks inside of the job"));
  table.push_back(with_default_note(path_option("partition", o.partition, "NAME", "Slurm's partition"), "Slurm's own"));
  table.push_back(with_default_note(path_option("account", o.account, "NAME", "Slurm's account"), "Slurm's own"));
  table.push_back(path_option("job-name", o.job_name, "NAME", "Name of the job, and of the file of its output"));
  table.push_back(with_default_note(
      path_option("after", o.after, "JOB", "Begin when this job has ended well; cancelled if it has not"), "at once"));
  table.push_back(with_default_note(
      path_option("sweep", o.sweep, "FILE", "Lines of further options of train, each a task that trains RUN/task-I"),
      "one run"));
  table.push_back(whole_option("most-idle-starts", o.most_idle_starts, kPositive,
                               "Starts in a row without a new checkpoint after which it is not requeued any more"));
  table.push_back(flag_option("print", o.print, "Print the job script, and do not submit it"));
}

void add_tokenizer(std::vector<Option>& table, PrepareOptions& o) {
  table.push_back(with_default_note(
      path_option("tokenizer", o.tokenizer, "byte|FILE|DIR",
                  "How text becomes tokens: bytes, a tokenizer.json, vocab.json and merges.txt, or a .tiktoken file"),
      "byte"));
  table.push_back(with_default_note(
      choice_option("train-tokenizer", o.train_tokenizer, {"bpe"}, "Learn a byte-level BPE tokenizer from the text"),
      "take --tokenizer"));
  table.push_back(
      with_default_note(whole_option("vocab-size", o.vocabulary_size, {.least = 257, .most = data::kVocabularyLimit},
                                     "Tokens of the learned tokenizer, the end of text among them"),
                        "needed to learn one"));
  table.push_back(text_option("split-pattern", o.split_pattern, "gpt2|cl100k|llama3|o200k|REGEX",
                              "Pieces of text that the learned tokenizer never merges"));
  table.push_back(with_default_note(
      path_option("end-of-text", o.end_of_text, "TOKEN", "Token of --tokenizer that follows every document"),
      "<|endoftext|> and the like"));
}

void add_cleaning(std::vector<Option>& table, PrepareOptions& o) {
  table.push_back(with_default_note(escaped_text_option("document-separator", o.document_separator,
                                                        "Text between documents of a file, \\n for a line end"),
                                    "a file is one document"));
  table.push_back(path_option("text-field", o.text_field, "NAME",
                              "Field of a .jsonl row that holds its text; dots lead into objects"));
  table.push_back(choice_option("invalid-utf8", o.invalid_utf8, {"repair", "refuse", "keep"},
                                "Bytes that are not UTF-8: U+FFFD in their place, an error, or left alone"));
  table.push_back(choice_option("normal-form", o.normal_form, {"none", "nfc", "nfd", "nfkc", "nfkd"},
                                "Unicode normal form of the text"));
  table.push_back(choice_option("line-ends", o.line_ends, {"keep", "unix"}, "unix: \\r\\n and \\r become \\n"));
  table.push_back(
      choice_option("control-characters", o.control_characters, {"keep", "remove"}, "All but tabs and line ends"));
  table.push_back(flag_option("deduplicate", o.deduplicate, "Drop documents whose text came before"));
}

}  // namespace

OptionTable option_table(PrepareOptions& o) {
  OptionTable table{
      .command = "prepare",
      .summary = "Turns text into token shards; one that was interrupted goes on where it was.",
      .options = {required(list_option("input", o.input, "PATH",
                                       "Text files, .jsonl files, either as .gz or .zst, or directories of them")),
                  required(path_option("output", o.output, "DIR", "Directory of the token shards"))},
      .positionals = {}};
  add_tokenizer(table.options, o);
  add_cleaning(table.options, o);
  table.options.push_back(
      real_option("validation-fraction", o.validation_fraction, kBelowOne, "Part kept for validation"));
  table.options.push_back(with_default_note(
      whole_option("threads", o.threads, kThreads, "Threads that clean and encode; the result is the same for any"),
      "OMP_NUM_THREADS, else the cores"));
  return table;
}

OptionTable option_table(TrainOptions& o) {
  OptionTable table{
      .command = "train",
      .summary = "Trains a model from token shards, or resumes a run.",
      .options = {required(path_list_option("data", o.data, "DIR", "Token shards made by trireme prepare")),
                  required(path_option("run", o.run, "DIR", "Run directory: config, log, checkpoints")),
                  required(path_option("model", o.model, "PRESET|FILE", "nano, gpt2-124m, ... or a config.json"))},
      .positionals = {}};
  add_order(table.options, o);
  add_training_length(table.options, o);
  add_layout(table.options, o);
  add_optimizer(table.options, o);
  add_bookkeeping(table.options, o);
  return table;
}

OptionTable option_table(PlanOptions& o) {
  OptionTable table{
      .command = "plan",
      .summary = "Says what a layout would need and how fast it would be: memory, messages, time. Nothing is trained.",
      .options = {whole_option("world-size", o.world_size, kRanks, "Ranks of the training"),
                  with_default_note(whole_option("ranks-per-node", o.ranks_per_node, kRanks, "Ranks on each machine"),
                                    "as many as the calibration says"),
                  flag_option("json", o.json, "One JSON object instead of the table"),
                  flag_option("search", o.search,
                              "Rank all layouts that fit; those of their options that are given stay"),
                  whole_option("top", o.top, kPositive, "With --search: layouts to print")},
      .positionals = {},
      .given = &o.given};
  for (Option& option : option_table(o.train).options) {
    if (option.name == "data") option.default_note = "none; it gives a model without a vocabulary one";
    if (option.name == "run" || option.name == "steps") option.default_note = "none; a plan does not depend on it";
    if (option.name == "device") option.help += "; cuda describes one, there need not be any";
    if (option.name == "calibration") {
      option.help = "What the machines can do, for times: a file of trireme bench --calibrate, or h100, h200";
      option.default_note = "none; h100 with --device cuda";
    }
    if (option.name != "model") option.required = false;
    table.options.push_back(std::move(option));
  }
  return table;
}

OptionTable option_table(SubmitOptions& o) {
  OptionTable table{
      .command = "submit",
      .summary = "Trains under Slurm: fills in a job script from the options of train, prints it, submits it.",
      .options = {},
      .positionals = {}};
  add_job(table.options, o);
  for (Option& option : option_table(o.train).options) {
    if (option.name == "threads") {
      option = required(whole_option("threads", o.train.threads, kThreads, "Cores of a rank, and its OpenMP threads"));
    }
    table.options.push_back(std::move(option));
  }
  return table;
}

OptionTable option_table(VerifyOptions& o) {
  OptionTable table{
      .command = "verify",
      .summary =
          "Says whether a layout trains right: some of its steps beside one rank's. Takes the options of train, and "
          "leaves those about the run alone: nothing is written.",
      .options = {whole_option("steps-to-verify", o.steps_to_verify, kPositive, "Steps to compare"),
                  with_default_note(path_option("reference-layout", o.reference_layout, "tp=N,dp=N,pp=N,zero=N",
                                                "What it is held against; an axis that is left out has one rank"),
                                    "one rank"),
                  with_default_note(whole_option("layers", o.layers, kPositive,
                                                 "Cut the model to so many, where it is too large for the reference"),
                                    "all of the model's")},
      .positionals = {}};
  const std::map<std::string, std::string> notes{
      {"data", "random tokens by --seed"}, {"run", "none is written"}, {"steps", "1000 more than --warmup-steps"}};
  for (Option& option : option_table(o.train).options) {
    const auto note = notes.find(option.name);
    if (note != notes.end()) {
      option.required = false;
      option.default_note = note->second;
    }
    table.options.push_back(std::move(option));
  }
  return table;
}

OptionTable option_table(EvaluateOptions& o) {
  return {.command = "evaluate",
          .summary = "Loss and perplexity of a model on validation data.",
          .options = {required(path_option("model", o.model, "DIR", "A step directory or a run")),
                      required(path_list_option("data", o.data, "DIR", "Token shards made by trireme prepare")),
                      whole_option("microbatch-size", o.microbatch_size, kSize, "Sequences of one forward pass"),
                      sequence_length_option(o.sequence_length, "the length it was trained with"),
                      precision_of_run_option(o.precision), device_option(o.device), threads_option(o.threads)},
          .positionals = {}};
}

OptionTable option_table(GenerateOptions& o) {
  return {
      .command = "generate",
      .summary = "Continues a prompt; writes prompt and continuation to standard output.",
      .options = {required(path_option("model", o.model, "DIR", "A step directory or a run")),
                  text_option("prompt", o.prompt, "TEXT", "Text to continue"),
                  whole_option("max-new-tokens", o.max_new_tokens, kSize, "Longest continuation"),
                  real_option("temperature", o.temperature, {}, "Below 1 is more careful, 0: always the likeliest"),
                  whole_option("top-k", o.top_k, {.least = 0, .most = 1 << 30}, "Choose among the K likeliest, 0: all"),
                  real_option("top-p", o.top_p, {.least = 0, .most = 1, .least_excluded = true},
                              "Choose among the likeliest that make up this probability"),
                  whole_option("seed", o.seed, {}, "Of the choices"), precision_of_run_option(o.precision),
                  device_option(o.device), threads_option(o.threads)},
      .positionals = {}};
}

OptionTable option_table(BenchOptions& o) {
  return {
      .command = "bench",
      .summary = "Measures what this machine can do: products, memory and, under mpirun, messages.",
      .options = {flag_option("calibrate", o.calibrate, "Measure the peaks and write them to --output"),
                  flag_option("quick", o.quick,
                              "Time ops of the smallest models alone: enough for mfu and --profile, not to plan by"),
                  path_option("output", o.output, "FILE", "JSON for train --calibration"), threads_option(o.threads)},
      .positionals = {}};
}

OptionTable option_table(CheckpointOptions& o) {
  return {.command = "checkpoint",
          .summary =
              "Looks at checkpoints, and pins them. PATH is a run or a step directory; diff compares two, merge makes "
              "one file.",
          .options = {with_default_note(path_option("output", o.output, "FILE.h5|FILE.safetensors",
                                                    "With merge: the file of whole tensors"),
                                        "needed"),
                      list_option("tensors", o.tensors, "PATTERN",
                                  "With merge: shell patterns, in quotes, of the tensors' names"),
                      flag_option("with-optimizer", o.with_optimizer, "With merge: Adam's moments too"),
                      flag_option("overwrite", o.overwrite, "With merge: replace --output")},
          .positionals = {.usage = "list|show|verify|pin|unpin|diff|merge PATH [PATH]", .field = &o.paths}};
}

OptionTable option_table(DataOptions& o) {
  return {.command = "data",
          .summary =
              "Says which documents a step trains on. PATH is a run, or prepared directories that a training "
              "would begin with.",
          .options =
              {with_default_note(
                   whole_option("step", o.step, {.least = 1, .most = int64_t{1} << 32}, "The step, from 1"), "needed"),
               with_default_note(whole_option("global-batch-size", o.global_batch_size, kSize, "Sequences of a step"),
                                 "that of the run"),
               with_default_note(whole_option("sequence-length", o.sequence_length, kSize, "Tokens of a sequence"),
                                 "that of the run"),
               with_default_note(whole_option("seed", o.seed, {}, "Of the order"), "that of the run, else 1"),
               with_default_note(data_weights_option(o.data_weights), "those of the run, else their sizes"),
               with_default_note(shuffle_option(o.shuffle), "that of the run, else full"),
               flag_option("json", o.json, "One JSON object a sample")},
          .positionals = {.usage = "show PATH [PATH...]", .field = &o.paths}};
}

}  // namespace trireme::launch
