// What the user asked for, one plain struct per command, filled by option_tables.h and checked there. The
// members' initial values are the defaults that `--help` shows. A 0 that means "you choose" is named where it stands.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace trireme::launch {

struct PrepareOptions {
  std::vector<std::string> input;
  std::string output;
  std::string tokenizer;               ///< byte, FILE or DIR; byte when empty and none is trained
  std::string train_tokenizer;         ///< bpe, or empty
  int64_t vocabulary_size = 0;         ///< of the trained tokenizer
  std::string split_pattern = "gpt2";  ///< of the trained tokenizer: a name or a regular expression
  std::string end_of_text;             ///< a token of --tokenizer; empty: by its usual names
  double validation_fraction = 0.1;
  std::optional<std::string> document_separator;  ///< unescaped; empty: a text file is one document
  std::string text_field = "text";
  std::string invalid_utf8 = "repair";
  std::string normal_form = "none";
  std::string line_ends = "keep";
  std::string control_characters = "keep";
  bool deduplicate = false;
  int64_t threads = 0;
};

struct Resume {
  enum class Mode { automatic, never, step };
  Mode mode = Mode::automatic;
  int64_t step = 0;  ///< with Mode::step
  bool operator==(const Resume&) const = default;
};

struct TrainOptions {
  std::vector<std::string> data;
  std::vector<double> data_weights;  ///< empty: by the sizes of the sets
  std::string shuffle = "full";      ///< full or blocked
  bool document_mask = false;
  std::string run;
  std::string model;
  int64_t steps = 0;
  int64_t stop_at_step = 0;  ///< 0: at --steps
  int64_t global_batch_size = 8;
  int64_t microbatch_size = 0;             ///< 0: by the layout, see resolve_layout()
  int64_t sequence_length = 0;             ///< 0: the model's positions
  int64_t tensor_parallel = 1;             ///< ranks
  int64_t pipeline_parallel = 1;           ///< ranks
  std::string pipeline_schedule = "1f1b";  ///< 1f1b, zb-h1 or gpipe
  int64_t virtual_stages = 1;              ///< chunks of layers of a pipeline stage
  std::optional<int64_t> zero_stage;       ///< 0 to 3; empty: 1 with data parallelism, else 0
  int64_t reproducible = 0;                ///< lanes of the global batch; 0: sums in the order of the layout
  std::string device = "auto";             ///< auto, cpu or cuda
  std::string precision = "fp32";          ///< of activations and of the weights that layers read: fp32 or bf16
  std::string recompute = "none";          ///< none, selective or full
  std::optional<double> device_memory;     ///< GB that a rank may take; empty: what the machine has free
  int64_t threads = 0;                     ///< 0: OMP_NUM_THREADS, else the cores of this rank
  double learning_rate = 6e-4;
  std::optional<double> min_learning_rate;  ///< a tenth of learning_rate; never empty after check()
  int64_t warmup_steps = 0;
  std::string schedule = "cosine";  ///< constant, linear, cosine or wsd
  double weight_decay = 0.1;
  double adam_beta1 = 0.9;
  double adam_beta2 = 0.95;
  double adam_epsilon = 1e-8;
  double clip_grad_norm = 1.0;  ///< 0: off
  double skip_outliers = 0;     ///< standard deviations; 0: off
  int64_t rollback_after = 0;   ///< skipped steps in a row; 0: never
  double dropout = 0.0;
  int64_t seed = 1;
  Resume resume;
  std::string init_from;                          ///< empty: initial weights by --seed
  std::vector<std::string> init_tensors = {"*"};  ///< of them, by shell patterns
  int64_t checkpoint_every = 1000;                ///< 0: only at the end
  int64_t keep_last = 3;                          ///< 0: all
  std::optional<double> snapshot_memory;          ///< GB a rank; empty: as much as a step needs, or there is
  int64_t keep_every = 0;                         ///< steps; 0: none for that reason
  std::optional<double> time_limit;               ///< seconds since the program's start
  int64_t validate_every = 250;                   ///< 0: only at the end
  int64_t log_every = 10;
  std::string calibration;  ///< empty: no peak is known
  bool profile = false;
  std::string trace;             ///< a file; empty: none
  int64_t trace_steps = 10;      ///< to record
  int64_t trace_skip = 1;        ///< before them
  double watchdog_timeout = 60;  ///< seconds; 0: nobody is watched
};

struct PlanOptions {
  TrainOptions train;          ///< data, run and steps may be empty
  int64_t world_size = 1;      ///< ranks
  int64_t ranks_per_node = 0;  ///< 0: as the calibration has it
  bool json = false;
  bool search = false;
  int64_t top = 10;                ///< of --search
  std::vector<std::string> given;  ///< names of the options that were given
};

struct SubmitOptions {
  TrainOptions train;  ///< of every task
  int64_t nodes = 1;
  int64_t ranks_per_node = 1;
  std::string time = "24:00:00";  ///< as Slurm writes limits
  std::optional<double> memory;   ///< GB of a node; empty: by the plan
  int64_t gpus_per_node = 0;
  std::string launcher = "srun";  ///< srun or mpirun
  std::string partition;          ///< empty: Slurm's default, as with account
  std::string account;
  std::string job_name = "trireme";
  std::string after;  ///< a job's number; empty: as soon as there is room
  std::string sweep;  ///< a file; empty: one task
  int64_t most_idle_starts = 3;
  bool print = false;
};

struct VerifyOptions {
  TrainOptions train;  ///< what is trained, and the layout that is asked about; no run is written
  int64_t steps_to_verify = 3;
  std::string reference_layout;  ///< "tp=1,dp=2" (reference_layout.h); empty: one rank
  int64_t layers = 0;            ///< of the model; 0: all
};

struct EvaluateOptions {
  std::string model;
  std::vector<std::string> data;
  int64_t microbatch_size = 8;
  int64_t sequence_length = 0;  ///< 0: the length it was trained with
  std::string precision;        ///< empty: that of the run
  std::string device = "auto";
  int64_t threads = 0;  ///< 0: OMP_NUM_THREADS, else the cores of this rank
};

struct GenerateOptions {
  std::string model;
  std::string prompt;
  int64_t max_new_tokens = 256;
  double temperature = 1.0;  ///< 0: greedy
  int64_t top_k = 0;         ///< 0: off
  double top_p = 1.0;        ///< 1: off
  int64_t seed = 1;
  std::string precision;  ///< empty: that of the run
  std::string device = "auto";
  int64_t threads = 0;  ///< 0: OMP_NUM_THREADS, else the cores of this rank
};

struct BenchOptions {
  bool calibrate = false;
  bool quick = false;  ///< ops of small models alone
  std::string output = "calibration.json";
  int64_t threads = 0;  ///< 0: OMP_NUM_THREADS, else the cores of this rank
};

struct DataOptions {
  std::string action;              ///< show
  std::vector<std::string> paths;  ///< a run, or prepared directories
  int64_t step = 0;
  std::optional<int64_t> global_batch_size;  ///< of directories, like all that follows
  std::optional<int64_t> sequence_length;
  std::optional<int64_t> seed;
  std::vector<double> data_weights;
  std::string shuffle;  ///< empty: full
  bool json = false;
};

struct CheckpointOptions {
  std::string action;              ///< list, show, verify, pin, unpin, diff or merge
  std::vector<std::string> paths;  ///< two with diff, else one
  std::string output;              ///< of merge, like all that follows
  std::vector<std::string> tensors = {"*"};
  bool with_optimizer = false;
  bool overwrite = false;
};

}  // namespace trireme::launch
