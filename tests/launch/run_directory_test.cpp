#include "launch/run_directory.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <boost/json.hpp>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>

#include "checkpoint/attempt.h"
#include "launch/json_text.h"
#include "launch/option_tables.h"
#include "runtime/error.h"

namespace trireme::launch {
namespace {

class RunDirectoryTest : public testing::Test {
 protected:
  RunDirectoryTest() : path_(testing::TempDir() + "run_XXXXXX") { EXPECT_NE(mkdtemp(path_.data()), nullptr); }
  ~RunDirectoryTest() override { std::filesystem::remove_all(path_); }

  std::string text(const std::string& name) const {
    std::ifstream file(path_ + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  RunDirectory open() const { return RunDirectory(runtime::real_files(), path_); }

  std::string path_;
};

StepRecord record_of(int64_t step) {
  return {.step = step,
          .tokens = step * 768,
          .loss = 1.0 / 3,
          .grad_norm = 0.1,
          .learning_rate = 6e-4,
          .step_seconds = 0.25,
          .tokens_per_second = 3072,
          .mfu = {},
          .phase_seconds = {{"forward", 0.1}},
          .validation_loss = {}};
}

/// The number after "name": in a log line, read by the C library, which rounds correctly.
double number_in(const std::string& line, const std::string& name) {
  const size_t at = line.find("\"" + name + "\": ");
  EXPECT_NE(at, std::string::npos) << name << " in " << line;
  return std::strtod(line.c_str() + at + name.size() + 4, nullptr);
}

TEST_F(RunDirectoryTest, LogLineIsOneObjectWithNumbers) {
  open().open_log(0).append(record_of(7));
  EXPECT_EQ(
      text("log.jsonl"),
      "{\"step\": 7, \"tokens\": 5376, \"loss\": 0.3333333333333333, \"grad_norm\": 0.1, \"learning_rate\": 0.0006, "
      "\"step_seconds\": 0.25, \"tokens_per_second\": 3072.0, \"mfu\": null, \"forward_seconds\": 0.1}\n");
}

TEST_F(RunDirectoryTest, LogLineTellsWhoIsBusyAndWhoIsSlow) {
  StepRecord record = record_of(7);
  record.busy = {.busiest_rank = 2, .busy_seconds = 0.5, .busy_seconds_median = 0.25};
  const auto even = step_json(record);
  EXPECT_EQ(even.at("busiest_rank"), 2);
  EXPECT_EQ(even.at("busy_seconds"), 0.5);
  EXPECT_EQ(even.at("busy_seconds_median"), 0.25);
  EXPECT_FALSE(even.contains("slow_rank"));
  record.busy->slow = {.rank = 2, .by = 2};
  const auto uneven = step_json(record);
  EXPECT_EQ(uneven.at("slow_rank"), 2);
  EXPECT_EQ(uneven.at("slow_by"), 2.0);
}

TEST_F(RunDirectoryTest, LogNumbersReadBackAsTheSameValue) {
  RunLog log = open().open_log(0);
  StepRecord record = record_of(1);
  record.loss = static_cast<double>(std::nextafterf(2.3025851f, 3.0f));
  record.validation_loss = std::nextafter(1.9, 2.0);
  record.mfu = 0.1 + 0.2;
  log.append(record);
  const std::string line = text("log.jsonl");
  EXPECT_EQ(number_in(line, "loss"), record.loss);
  EXPECT_EQ(number_in(line, "validation_loss"), *record.validation_loss);
  EXPECT_EQ(number_in(line, "mfu"), *record.mfu);
}

TEST_F(RunDirectoryTest, PutReplacesTheLastLineOfTheSameStep) {
  RunLog log = open().open_log(0);
  EXPECT_FALSE(open().last_logged().has_value());
  log.put({{"step", 1}});
  log.put({{"step", 2}});
  log.put({{"step", 2}, {"validation_loss", 1.5}});
  log.append({{"step", 3}});
  EXPECT_EQ(text("log.jsonl"), "{\"step\": 1}\n{\"step\": 2, \"validation_loss\": 1.5}\n{\"step\": 3}\n");
  EXPECT_EQ(open().last_logged()->at("step"), 3);
  log.put({{"step", 3}, {"loss", 1.0}});
  EXPECT_EQ(open().last_logged()->size(), 2u);
}

TEST_F(RunDirectoryTest, NonFiniteLossIsNullAndTheStepIsMarked) {
  StepRecord record = record_of(1);
  record.loss = std::nan("");
  record.verdict = runtime::UpdateVerdict::not_finite;
  open().open_log(0).append(record);
  EXPECT_NE(text("log.jsonl").find("\"loss\": null"), std::string::npos);
  EXPECT_NE(text("log.jsonl").find("\"skipped\": \"nonfinite\""), std::string::npos);
}

TEST_F(RunDirectoryTest, ResumedLogHasNoStepTwice) {
  {
    RunLog log = open().open_log(0);
    for (int64_t step = 1; step <= 5; ++step) log.append(record_of(step));
  }
  const std::string whole = text("log.jsonl");
  std::ofstream(path_ + "/log.jsonl", std::ios::app) << "{\"step\": 6, \"tok";  // a crash in the middle of a write
  {
    RunLog log = open().open_log(3);
    for (int64_t step = 4; step <= 5; ++step) log.append(record_of(step));
  }
  EXPECT_EQ(text("log.jsonl"), whole);
}

TEST_F(RunDirectoryTest, NewRunBeginsAnEmptyLog) {
  open().open_log(0).append(record_of(1));
  open().open_log(0).append(record_of(2));
  EXPECT_EQ(text("log.jsonl").find("\"step\": 1,"), std::string::npos);
  EXPECT_NE(text("log.jsonl").find("\"step\": 2,"), std::string::npos);
}

TEST_F(RunDirectoryTest, AReplacedStartChangesNothing) {
  runtime::Files& files = runtime::real_files();
  const auto claim = [&] { return checkpoint::claim_attempt(files, path_ + "/checkpoints", "a test"); };
  RunDirectory first(files, path_, claim());
  RunLog first_log = first.open_log(0);
  for (int64_t step : {1, 2}) first_log.append(record_of(step));
  first.write_config({{"of", 1}});
  std::ofstream(path_ + "/config.json.tmp-1") << "half";
  std::ofstream(path_ + "/log.jsonl.tmp-1.tmp") << "half";

  RunDirectory second(files, path_, claim());
  second.sweep();
  RunLog second_log = second.open_log(2);
  first_log.append(record_of(9));  // it had looked for claims before, and was paused since
  second_log.append(record_of(3));
  second.write_config({{"of", 2}});
  const std::string log = text("log.jsonl");
  EXPECT_EQ(log, json_line(step_json(record_of(1))) + "\n" + json_line(step_json(record_of(2))) + "\n" +
                     json_line(step_json(record_of(3))) + "\n");
  const std::vector<std::function<void()>> writes{[&] {
                                                    first.write_config({{"of", 1}});
                                                  },
                                                  [&] { first.open_log(0); }, [&] { first.set_log_aside(); },
                                                  [&] { first_log.put(step_json(record_of(3))); }};
  for (const std::function<void()>& write : writes) {
    try {
      write();
      ADD_FAILURE() << "no error";
    } catch (const runtime::Error& error) {
      EXPECT_EQ(error.kind(), runtime::ErrorKind::peer) << error.what();
    }
  }
  EXPECT_EQ(text("log.jsonl"), log);
  EXPECT_EQ(second.read_config()->at("of"), 2);
  EXPECT_EQ(files.list(path_), (std::vector<std::string>{"checkpoints", "config.json", "log.jsonl"}));
}

TEST_F(RunDirectoryTest, ConfigHoldsResolvedOptionsAndModel) {
  TrainOptions options;
  const OptionTable table = option_table(options);
  fill_options(table, {"--data", "d", "--run", "r", "--model", "nano", "--steps", "100", "--learning-rate", "0.001"});
  check(options);
  RunDirectory run = open();
  EXPECT_EQ(run.read_config(), std::nullopt);
  run.write_config({{"options", options_json(table)}, {"model", {{"n_layer", 4}}}});
  const std::string config = text("config.json");
  EXPECT_NE(config.find("\n    \"steps\": 100,\n"), std::string::npos) << config;
  EXPECT_NE(config.find("\n    \"learning-rate\": 0.001,\n"), std::string::npos) << config;
  EXPECT_NE(config.find("\n    \"min-learning-rate\": 0.0001,\n"), std::string::npos) << config;
  EXPECT_NE(config.find("\n    \"resume\": \"auto\",\n"), std::string::npos) << config;
  const auto read = run.read_config();
  ASSERT_TRUE(read);
  EXPECT_EQ(read->at("options").at("steps"), 100);
  EXPECT_EQ(read->at("model").at("n_layer"), 4);
}

TEST_F(RunDirectoryTest, DamagedConfigIsNamed) {
  std::ofstream(path_ + "/config.json") << "{\"options\": ";
  try {
    open().read_config();
    FAIL() << "half a config must not be read";
  } catch (const runtime::Error& error) {
    EXPECT_EQ(error.kind(), runtime::ErrorKind::data);
    EXPECT_EQ(std::string(error.what()).rfind(path_ + "/config.json: ", 0), 0u) << error.what();
  }
}

TEST_F(RunDirectoryTest, PathThatCannotBeMadeNamesTheOption) {
  std::ofstream(path_ + "/file") << "x";
  try {
    const RunDirectory directory(runtime::real_files(), path_ + "/file/run");
    FAIL() << "a file is no place for a directory";
  } catch (const runtime::Error& error) {
    EXPECT_EQ(std::string(error.what()).rfind("--run: ", 0), 0u) << error.what();
  }
}

TEST_F(RunDirectoryTest, FullDiskIsAnErrorThatNamesTheFile) {
  RunLog log(runtime::real_files(), "/dev/full", 0);
  try {
    log.append(record_of(1));
    FAIL() << "nothing can be written there";
  } catch (const runtime::Error& error) {
    EXPECT_EQ(error.kind(), runtime::ErrorKind::io);
    EXPECT_STREQ(error.what(), "cannot write /dev/full: No space left on device");
  }
}

}  // namespace
}  // namespace trireme::launch
