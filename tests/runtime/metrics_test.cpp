#include "runtime/metrics.h"

#include <gtest/gtest.h>

#include <chrono>
#include <sstream>
#include <thread>

namespace trireme::runtime {
namespace {

/// The value of a series on the page, as text; empty when there is none.
std::string value_of(const std::string& page, const std::string& series) {
  std::istringstream lines(page);
  for (std::string line; std::getline(lines, line);)
    if (line.rfind(series + " ", 0) == 0) return line.substr(series.size() + 1);
  return "";
}

TEST(Metrics, StepsAddUp) {
  TrainingMetrics metrics({.version = "0.1.0", .commit = "abc"});
  const StepMetrics step{.loss = 2.5,
                         .grad_norm = 0.5,
                         .learning_rate = 0.001,
                         .step_seconds = 0.03,
                         .samples = 8,
                         .tokens = 512,
                         .model_flops = 1e9};
  metrics.record_step(step);
  metrics.record_step(step);
  const std::string page = metrics.text();
  EXPECT_EQ(value_of(page, "trireme_train_loss{split=\"train\"}"), "2.5");
  EXPECT_EQ(value_of(page, "trireme_train_grad_norm"), "0.5");
  EXPECT_EQ(value_of(page, "trireme_train_steps_total"), "2");
  EXPECT_EQ(value_of(page, "trireme_train_samples_total"), "16");
  EXPECT_EQ(value_of(page, "trireme_train_tokens_total"), "1024");
  EXPECT_EQ(value_of(page, "trireme_train_step_duration_seconds_count"), "2");
  EXPECT_EQ(value_of(page, "trireme_train_step_duration_seconds_bucket{le=\"0.02\"}"), "0");
  EXPECT_EQ(value_of(page, "trireme_train_step_duration_seconds_bucket{le=\"0.05\"}"), "2");
  EXPECT_DOUBLE_EQ(std::stod(value_of(page, "trireme_train_model_flops_total")), 2e9);
  EXPECT_GT(std::stod(value_of(page, "trireme_train_last_step_timestamp_seconds")), 1.6e9);
}

TEST(Metrics, LabelledEventsHaveSeriesOfTheirOwn) {
  TrainingMetrics metrics({.version = "0.1.0", .commit = "abc"});
  EXPECT_EQ(value_of(metrics.text(), "trireme_train_skipped_steps_total{reason=\"nonfinite\"}"), "0");
  EXPECT_EQ(value_of(metrics.text(), "trireme_train_skipped_steps_total{reason=\"outlier\"}"), "0");
  metrics.record_skipped_step("nonfinite");
  metrics.record_validation(1.75);
  metrics.add_phase_seconds("forward", 0.25);
  metrics.add_phase_seconds("forward", 0.5);
  metrics.add_data_wait_seconds(0.125);
  metrics.record_checkpoint_phase("write", 3);
  metrics.record_checkpoint("success");
  const std::string page = metrics.text();
  EXPECT_EQ(value_of(page, "trireme_build_info{commit=\"abc\",version=\"0.1.0\"}"), "1");
  EXPECT_EQ(value_of(page, "trireme_train_skipped_steps_total{reason=\"nonfinite\"}"), "1");
  EXPECT_EQ(value_of(page, "trireme_train_loss{split=\"eval\"}"), "1.75");
  EXPECT_EQ(value_of(page, "trireme_train_phase_seconds_total{phase=\"forward\"}"), "0.75");
  EXPECT_EQ(value_of(page, "trireme_train_data_wait_seconds_total"), "0.125");
  EXPECT_EQ(value_of(page, "trireme_train_checkpoint_duration_seconds_bucket{phase=\"write\",le=\"5\"}"), "1");
  EXPECT_EQ(value_of(page, "trireme_train_checkpoints_total{result=\"success\"}"), "1");
  EXPECT_EQ(value_of(page, "trireme_train_checkpoints_total{result=\"failure\"}"), "0");
}

TEST(Metrics, CommunicationTotalsAreCountersThatNeverFall) {
  TrainingMetrics metrics({.version = "0.1.0", .commit = "abc"});
  const std::string series = "trireme_train_comm_bytes_total{axis=\"dp\",backend=\"mpi\",op=\"all_reduce\"}";
  metrics.set_comm_totals("all_reduce", "mpi", "dp", 1, 4096);
  metrics.set_comm_totals("all_reduce", "mpi", "dp", 3, 12288);
  EXPECT_EQ(value_of(metrics.text(), series), "12288");
  metrics.set_comm_totals("all_reduce", "mpi", "dp", 3, 100);
  EXPECT_EQ(value_of(metrics.text(), series), "12288");
}

TEST(Metrics, TellsWhoIsBusyAndWhoIsSlow) {
  TrainingMetrics metrics({});
  metrics.record_busy_ranks(
      {.busiest_rank = 3, .busy_seconds = 0.75, .least_busy_seconds = 0.5, .slow_rank = 2, .slow_by = 1.5});
  std::string page = metrics.text();
  EXPECT_EQ(value_of(page, "trireme_train_slowest_rank"), "3");
  EXPECT_EQ(value_of(page, "trireme_train_busy_seconds"), "0.75");
  EXPECT_EQ(value_of(page, "trireme_train_rank_skew_seconds"), "0.25");
  EXPECT_EQ(value_of(page, "trireme_train_slow_rank"), "2");
  EXPECT_EQ(value_of(page, "trireme_train_slow_rank_ratio"), "1.5");
  metrics.record_busy_ranks({.busiest_rank = 1, .busy_seconds = 0.5, .least_busy_seconds = 0.5});
  page = metrics.text();
  EXPECT_EQ(value_of(page, "trireme_train_slowest_rank"), "1");
  EXPECT_EQ(value_of(page, "trireme_train_slow_rank"), "-1");
  EXPECT_EQ(value_of(page, "trireme_train_slow_rank_ratio"), "0");
}

TEST(Metrics, ProcessSeriesAreMeasured) {
  TrainingMetrics metrics({.version = "0.1.0", .commit = "abc"});
  const std::string page = metrics.text();
  EXPECT_GT(std::stod(value_of(page, "process_resident_memory_bytes")), 1e6);
  EXPECT_LT(std::stod(value_of(page, "process_resident_memory_bytes")), 1e12);
  EXPECT_GE(std::stod(value_of(page, "process_open_fds")), 3);
}

TEST(Metrics, StartTimeIsThatOfTheProcess) {
  const auto start_time = [] { return std::stod(value_of(TrainingMetrics({}).text(), "process_start_time_seconds")); };
  // Not that of the object, and not later than now; the time of the boot is told in whole seconds.
  const double first = start_time();
  std::this_thread::sleep_for(std::chrono::milliseconds(20));
  EXPECT_EQ(first, start_time());
  const double now = std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
  EXPECT_LT(first, now + 2);
  EXPECT_GT(first, now - 3600);
}

TEST(Metrics, UtilisationIsToldWhereThePeakIsKnown) {
  TrainingMetrics metrics({});
  const StepMetrics step{.step_seconds = 0.5, .model_flops = 1e9};
  metrics.record_step(step);
  for (const char* name : {"mfu_ratio", "peak_flops", "ranks", "checkpoint_size_bytes"})
    EXPECT_EQ(metrics.text().find(std::string("trireme_train_") + name), std::string::npos) << name;
  metrics.set_peak_flops(8e9);
  metrics.record_step(step);
  EXPECT_EQ(value_of(metrics.text(), "trireme_train_peak_flops"), "8000000000");
  EXPECT_EQ(value_of(metrics.text(), "trireme_train_mfu_ratio"), "0.25");
}

TEST(Metrics, TellsRanksAndTheNewestCheckpoint) {
  TrainingMetrics metrics({});
  metrics.set_ranks(4);
  metrics.set_newest_checkpoint(1 << 20, 1.75e9);
  metrics.set_newest_checkpoint(1 << 21, 1.76e9);
  metrics.set_comm_seconds("all_reduce", "mpi", "dp", 0.25);
  metrics.set_comm_seconds("all_reduce", "mpi", "dp", 0.75);
  const std::string page = metrics.text();
  EXPECT_EQ(value_of(page, "trireme_train_ranks{state=\"healthy\"}"), "4");
  EXPECT_EQ(value_of(page, "trireme_train_checkpoint_size_bytes"), "2097152");
  EXPECT_EQ(value_of(page, "trireme_train_checkpoint_last_success_timestamp_seconds"), "1760000000");
  EXPECT_EQ(value_of(page, "trireme_train_comm_seconds_total{axis=\"dp\",backend=\"mpi\",op=\"all_reduce\"}"), "0.75");
}

}  // namespace
}  // namespace trireme::runtime
