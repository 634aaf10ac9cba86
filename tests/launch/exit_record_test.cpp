#include "launch/exit_record.h"

#include <gtest/gtest.h>

#include <boost/json/parse.hpp>
#include <cstdlib>

#include "checkpoint/attempt.h"
#include "launch/run_directory.h"
#include "tests/memory_files.h"

namespace trireme::launch {
namespace {

class ExitRecordFile : public testing::Test {
 protected:
  ExitRecordFile() {
    unsetenv("SLURM_JOB_ID");
    unsetenv("SLURM_RESTART_COUNT");
  }
  int64_t claim() { return checkpoint::claim_attempt(files_, "run/checkpoints", ""); }
  std::string text() { return runtime::read_text(files_, "run/exit.json"); }

  tests::MemoryFiles files_;
};

TEST_F(ExitRecordFile, HoldsAMemberALineForScripts) {
  setenv("SLURM_JOB_ID", "77", 1);
  write_exit_record(files_, "run", claim(),
                    {.code = 76, .reason = "rank 3 has not arrived", .ranks = {3}, .step = 40, .written_by = 2});
  unsetenv("SLURM_JOB_ID");
  EXPECT_TRUE(text().starts_with("{\n  \"code\": 76,\n  \"reason\": \"rank 3 has not arrived\",\n")) << text();
  const boost::json::object record = boost::json::parse(text()).as_object();
  EXPECT_EQ(record.at("ranks"), boost::json::parse("[3]"));
  EXPECT_EQ(record.at("step"), 40);
  EXPECT_EQ(record.at("written_by"), 2);
  EXPECT_EQ(record.at("attempt"), 1);
  EXPECT_EQ(record.at("slurm_job_id"), "77");
  EXPECT_EQ(record.at("slurm_restart_count"), "0");
  EXPECT_NE(record.at("owner").as_string().find(", Slurm job 77, restart 0"), std::string::npos);
}

TEST_F(ExitRecordFile, OutsideSlurmNamesNoJob) {
  write_exit_record(files_, "run", claim(), {.code = 75, .reason = "SIGUSR1"});
  EXPECT_FALSE(boost::json::parse(text()).as_object().contains("slurm_job_id"));
  remove_exit_record(files_, "run");
  EXPECT_FALSE(files_.exists("run/exit.json"));
  remove_exit_record(files_, "run");  // there is none
}

TEST_F(ExitRecordFile, IsOfOneAttempt) {
  EXPECT_FALSE(has_exit_record(files_, "run", 1));
  write_exit_record(files_, "run", claim(), {.code = 76});
  EXPECT_TRUE(has_exit_record(files_, "run", 1));
  EXPECT_FALSE(has_exit_record(files_, "run", 2));
}

TEST_F(ExitRecordFile, OfAReplacedStartIsNotWritten) {
  const int64_t first = claim();
  const int64_t second = claim();
  write_exit_record(files_, "run", first, {.code = 76, .reason = "old"});
  EXPECT_FALSE(files_.exists("run/exit.json"));
  write_exit_record(files_, "run", second, {.code = 75, .reason = "new"});
  write_exit_record(files_, "run", first, {.code = 76, .reason = "old"});
  EXPECT_NE(text().find("new"), std::string::npos);
}

TEST_F(ExitRecordFile, HalfWrittenIsSweptByTheNextStart) {
  claim();
  runtime::write_text_atomically(files_, "run/exit.json.tmp-1-rank-3", "half");
  RunDirectory(files_, "run", claim()).sweep();
  EXPECT_FALSE(files_.exists("run/exit.json.tmp-1-rank-3"));
}

}  // namespace
}  // namespace trireme::launch
