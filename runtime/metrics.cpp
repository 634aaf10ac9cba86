#include "runtime/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <sstream>

namespace trireme::runtime {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;

/// Seconds in steps of 1-2-5.
const Histogram::BucketBoundaries kStepBuckets{0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2,
                                               0.5,   1,     2,     5,    10,   20,   50,  100};
const Histogram::BucketBoundaries kCheckpointBuckets{0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 1800};

double unix_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// Second field of /proc/self/statm: pages in memory.
double resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  double total_pages = 0;
  double resident_pages = 0;
  statm >> total_pages >> resident_pages;
  return resident_pages * static_cast<double>(sysconf(_SC_PAGESIZE));
}

/// Unix time: the boot (btime in /proc/stat, whole seconds) plus field 22 of /proc/self/stat, in ticks since the boot.
/// Now where those cannot be read.
double process_start_seconds() {
  constexpr int kFieldsBetween = 19;  // the name in parentheses is field 2 and may hold blanks
  std::ifstream stat("/proc/self/stat");
  std::string text;
  std::getline(stat, text);
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return unix_seconds();
  std::istringstream fields(text.substr(name_end + 1));
  std::string skipped;
  for (int i = 0; i < kFieldsBetween; ++i) fields >> skipped;
  double start_ticks = 0;
  fields >> start_ticks;

  std::ifstream system("/proc/stat");
  std::string key;
  double boot_seconds = 0;
  for (std::string line; std::getline(system, line);) {
    std::istringstream words(line);
    if (words >> key && key == "btime") words >> boot_seconds;
  }
  if (!fields || boot_seconds == 0) return unix_seconds();
  return boot_seconds + start_ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

double cpu_seconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const auto seconds = [](const timeval& t) {
    return static_cast<double>(t.tv_sec) + 1e-6 * static_cast<double>(t.tv_usec);
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double open_files() {
  std::error_code error;
  double count = 0;
  for (auto entry = std::filesystem::directory_iterator("/proc/self/fd", error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error))
    ++count;
  return count > 0 ? count - 1 : 0;  // one of them was this look at the directory
}

void raise_to(Counter& counter, double total) {
  if (total > counter.Value()) counter.Increment(total - counter.Value());
}

}  // namespace

struct TrainingMetrics::State {
  std::mutex mutex;  // serialises read-then-increment, and peak; prometheus' own objects are safe already
  double peak = 0;   // flop/s, 0: unknown
  prometheus::Registry registry;

  Family<Gauge>& gauges(const std::string& name, const std::string& help) {
    return prometheus::BuildGauge().Name(name).Help(help).Register(registry);
  }
  Family<Counter>& counters(const std::string& name, const std::string& help) {
    return prometheus::BuildCounter().Name(name).Help(help).Register(registry);
  }
  Family<Histogram>& histograms(const std::string& name, const std::string& help) {
    return prometheus::BuildHistogram().Name(name).Help(help).Register(registry);
  }

  Family<Gauge>& loss = gauges("trireme_train_loss", "Mean loss per target token of the last step or evaluation.");
  Gauge& grad_norm = gauges("trireme_train_grad_norm", "Norm of the gradient before clipping.").Add({});
  Gauge& learning_rate = gauges("trireme_train_learning_rate", "Learning rate of the last step.").Add({});
  Counter& steps = counters("trireme_train_steps_total", "Optimizer steps, skipped ones included.").Add({});
  Counter& samples = counters("trireme_train_samples_total", "Sequences trained on.").Add({});
  Counter& tokens = counters("trireme_train_tokens_total", "Tokens trained on.").Add({});
  Family<Counter>& skipped_steps = counters("trireme_train_skipped_steps_total", "Steps whose update was not made.");
  Histogram& step_duration =
      histograms("trireme_train_step_duration_seconds", "Wall time of a step.").Add({}, kStepBuckets);
  Family<Counter>& phase_seconds = counters("trireme_train_phase_seconds_total", "Wall time of the parts of a step.");
  Counter& model_flops =
      counters("trireme_train_model_flops_total", "Floating point operations by the formula of mfu.").Add({});
  Family<Counter>& comm_bytes = counters("trireme_train_comm_bytes_total", "Bytes sent by this rank.");
  Family<Gauge>& peak_flops = gauges("trireme_train_peak_flops", "Peak of all ranks in flop/s.");
  Family<Gauge>& mfu = gauges("trireme_train_mfu_ratio", "Model flops per second of the last step, share of the peak.");
  Family<Gauge>& ranks = gauges("trireme_train_ranks", "Ranks of the run.");
  Family<Gauge>& slowest_rank =
      gauges("trireme_train_slowest_rank", "Rank that was busy longest in a step, waiting for messages left out.");
  Family<Gauge>& busy_seconds = gauges("trireme_train_busy_seconds", "How long that rank was busy in a step.");
  Family<Gauge>& rank_skew = gauges("trireme_train_rank_skew_seconds",
                                    "Busy time in a step of the busiest rank minus that of the least busy.");
  Family<Gauge>& slow_rank = gauges("trireme_train_slow_rank", "Rank that is named as slow, -1: none is.");
  Family<Gauge>& slow_by =
      gauges("trireme_train_slow_rank_ratio", "Times the others' time of the rank named as slow, 0: none is.");
  Family<Counter>& comm_seconds =
      counters("trireme_train_comm_seconds_total", "Time from start to end of communicator calls of this rank.");
  Family<Counter>& comm_calls = counters("trireme_train_comm_calls_total", "Communicator calls of this rank.");
  Counter& data_wait =
      counters("trireme_train_data_wait_seconds_total", "Time that training waited for its next batch.").Add({});
  Family<Histogram>& checkpoint_duration =
      histograms("trireme_train_checkpoint_duration_seconds", "Wall time of the parts of a checkpoint.");
  Family<Counter>& checkpoints = counters("trireme_train_checkpoints_total", "Checkpoints by how they ended.");
  Family<Gauge>& checkpoint_size =
      gauges("trireme_train_checkpoint_size_bytes", "Bytes of the newest complete checkpoint.");
  Family<Gauge>& checkpoint_time = gauges("trireme_train_checkpoint_last_success_timestamp_seconds",
                                          "Unix time at which the newest checkpoint was complete.");
  Gauge& last_step =
      gauges("trireme_train_last_step_timestamp_seconds", "Unix time at which the last step ended.").Add({});
  Gauge& resident = gauges("process_resident_memory_bytes", "Resident memory size in bytes.").Add({});
  Counter& cpu = counters("process_cpu_seconds_total", "Total user and system CPU time spent in seconds.").Add({});
  Gauge& open_fds = gauges("process_open_fds", "Number of open file descriptors.").Add({});
  Gauge& start_time = gauges("process_start_time_seconds", "Unix time at which the process started.").Add({});
};

TrainingMetrics::TrainingMetrics(const BuildInfo& build) : state_(std::make_unique<State>()) {
  state_->gauges("trireme_build_info", "Version of the program; always 1.")
      .Add({{"version", build.version}, {"commit", build.commit}})
      .Set(1);
  state_->start_time.Set(process_start_seconds());
  // Series that exist from the start let a rate() see the first event.
  for (const char* reason : {"nonfinite", "outlier"}) state_->skipped_steps.Add({{"reason", reason}});
  for (const char* result : {"success", "failure"}) state_->checkpoints.Add({{"result", result}});
}

TrainingMetrics::~TrainingMetrics() = default;

void TrainingMetrics::set_peak_flops(double flops_per_second) {
  const std::lock_guard lock(state_->mutex);
  state_->peak = flops_per_second;
  state_->peak_flops.Add({}).Set(flops_per_second);
}

void TrainingMetrics::set_ranks(int64_t healthy) {
  state_->ranks.Add({{"state", "healthy"}}).Set(static_cast<double>(healthy));
}

void TrainingMetrics::record_step(const StepMetrics& step) {
  state_->loss.Add({{"split", "train"}}).Set(step.loss);
  state_->grad_norm.Set(step.grad_norm);
  state_->learning_rate.Set(step.learning_rate);
  state_->steps.Increment();
  state_->samples.Increment(static_cast<double>(step.samples));
  state_->tokens.Increment(static_cast<double>(step.tokens));
  state_->step_duration.Observe(step.step_seconds);
  state_->model_flops.Increment(step.model_flops);
  state_->last_step.Set(unix_seconds());
  const std::lock_guard lock(state_->mutex);
  if (state_->peak > 0 && step.step_seconds > 0) {
    state_->mfu.Add({}).Set(step.model_flops / step.step_seconds / state_->peak);
  }
}

void TrainingMetrics::record_busy_ranks(const BusyMetrics& busy) {
  state_->slowest_rank.Add({}).Set(static_cast<double>(busy.busiest_rank));
  state_->busy_seconds.Add({}).Set(busy.busy_seconds);
  state_->rank_skew.Add({}).Set(busy.busy_seconds - busy.least_busy_seconds);
  state_->slow_rank.Add({}).Set(static_cast<double>(busy.slow_rank));
  state_->slow_by.Add({}).Set(busy.slow_by);
}

void TrainingMetrics::record_skipped_step(const std::string& reason) {
  state_->skipped_steps.Add({{"reason", reason}}).Increment();
}

void TrainingMetrics::record_validation(double loss) {
  state_->loss.Add({{"split", "eval"}}).Set(loss);
}

void TrainingMetrics::add_phase_seconds(const std::string& phase, double seconds) {
  state_->phase_seconds.Add({{"phase", phase}}).Increment(seconds);
}

void TrainingMetrics::add_data_wait_seconds(double seconds) {
  state_->data_wait.Increment(seconds);
}

void TrainingMetrics::record_checkpoint_phase(const std::string& phase, double seconds) {
  state_->checkpoint_duration.Add({{"phase", phase}}, kCheckpointBuckets).Observe(seconds);
}

void TrainingMetrics::record_checkpoint(const std::string& result) {
  state_->checkpoints.Add({{"result", result}}).Increment();
}

void TrainingMetrics::set_newest_checkpoint(int64_t size_bytes, double unix_seconds) {
  state_->checkpoint_size.Add({}).Set(static_cast<double>(size_bytes));
  state_->checkpoint_time.Add({}).Set(unix_seconds);
}

void TrainingMetrics::set_comm_totals(const std::string& op, const std::string& backend, const std::string& axis,
                                      int64_t calls, int64_t bytes) {
  const std::lock_guard lock(state_->mutex);
  const prometheus::Labels labels{{"op", op}, {"backend", backend}, {"axis", axis}};
  raise_to(state_->comm_calls.Add(labels), static_cast<double>(calls));
  raise_to(state_->comm_bytes.Add(labels), static_cast<double>(bytes));
}

void TrainingMetrics::set_comm_seconds(const std::string& op, const std::string& backend, const std::string& axis,
                                       double seconds) {
  const std::lock_guard lock(state_->mutex);
  raise_to(state_->comm_seconds.Add({{"op", op}, {"backend", backend}, {"axis", axis}}), seconds);
}

std::string TrainingMetrics::text() {
  const std::lock_guard lock(state_->mutex);
  state_->resident.Set(resident_bytes());
  raise_to(state_->cpu, cpu_seconds());
  state_->open_fds.Set(open_files());
  return prometheus::TextSerializer().Serialize(state_->registry.Collect());
}

}  // namespace trireme::runtime
