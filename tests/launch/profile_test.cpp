// bench --calibrate, train --calibration and train --profile, as a user runs them.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>

#include "model/train_step.h"
#include "runtime/processor.h"
#include "tests/launch/workspace.h"

namespace trireme::tests {
namespace {

/// 100 Gflop/s and 20 GB/s on `processor` with one thread.
std::string calibration_text(const std::string& processor) {
  return R"({"kind": "trireme-calibration", "format_version": 2, "date": "2026-11-21T00:00:00Z", "version": "0.1.0",
             "commit": "abc", "machine": {"processor": ")" +
         processor + R"(", "cores": 2, "threads": 1, "ranks": 1},
             "peaks": {"fma_flops_per_second": 1e11},
             "memory": {"read_bytes_per_second": 1e10, "copy_bytes_per_second": 2e10, "triad_bytes_per_second": 1e10},
             "products": [], "messages": [], "call_seconds": 1e-6, "ops": []})";
}

/// Large enough that what lies between ops is little.
constexpr char kModel[] =
    R"({"model_type": "gpt2", "n_layer": 2, "n_head": 4, "n_embd": 128, "n_positions": 64, "vocab_size": 257})";

std::vector<std::string> train_words(const Workspace& space, const std::vector<std::string>& more) {
  std::vector<std::string> words = space.train_words("run", {"--threads", "1"});
  words[4] = space.write("wide.json", kModel);
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

/// Milliseconds by the first words of a table's lines, of all lines of one op together.
std::map<std::string, double> milliseconds_by_name(const std::string& text) {
  std::map<std::string, double> by_name;
  std::istringstream lines(text.substr(text.find("profile of a step")));
  for (std::string line; std::getline(lines, line);) {
    EXPECT_LE(line.size(), 100u) << line;
    if (line.size() < 61) continue;
    const std::string name = line.substr(0, line.find("  "));
    try {
      by_name[name] += std::stod(line.substr(50, 11));
    } catch (const std::exception&) {
      continue;  // the heading, and the lines below the table
    }
  }
  return by_name;
}

/// The ops of a step of kModel, by a dry one.
std::set<std::string> ops_of_a_step() {
  model::ModelConfig config;
  config.layers = 2;
  config.heads = config.kv_heads = 4;
  config.width = 128;
  config.head_width = 32;
  config.feed_forward_width = 512;
  config.positions = 64;
  config.vocabulary_size = 257;
  runtime::Stream stream(runtime::Device::dry);
  runtime::Memory memory = runtime::Memory::dry();
  parallel::MeshGroups groups = parallel::dry_groups({.dp = 1});
  const auto trainer = model::make_trainer(config, model::Purpose::training, {}, stream, memory, groups);
  stream.clear_costs();
  const model::HostMicrobatch microbatch{.B = 8, .T = 64};
  model::train_step(*trainer, std::span(&microbatch, 1), {});
  std::set<std::string> ops;
  for (const auto& [op, total] : stream.costs().by_op()) ops.insert(op);
  return ops;
}

TEST(Profile, ListsEveryOpAndSumsUpToTheStep) {
  Workspace space;
  space.prepare();
  space.write("calibration.json", calibration_text(runtime::processor_name()));
  const ProgramResult result =
      run_trireme(train_words(space, {"--steps", "12", "--profile", "--calibration", space.path("calibration.json")}));
  ASSERT_EQ(result.exit_code, 0) << result.error;
  std::map<std::string, double> table = milliseconds_by_name(result.error);
  const double step = table["step"];
  const double ops = table["sum of ops"];
  double listed = 0;
  for (const std::string& op : ops_of_a_step()) {
    EXPECT_TRUE(table.contains(op)) << op << "\n" << result.error;
    listed += table[op];
  }
  EXPECT_NEAR(listed, ops, 0.05) << result.error;  // up to a hundred roundings to a microsecond's half
  EXPECT_LE(ops, step) << result.error;
  // The rest of what is computed is bookkeeping between ops: some microseconds for each.
  EXPECT_GE(ops, 0.9 * (step - table["data"] - table["waiting for messages"])) << result.error;
  EXPECT_NEAR(ops + table["waiting for messages"] + table["data"] + table["other"], step, 0.005) << result.error;
  EXPECT_NE(result.error.find("the mean of 11 steps (the first is left out)"), std::string::npos) << result.error;
  for (const char* part : {"\nmfu ", "\nhfu ", "\ntokens/s "}) {
    EXPECT_NE(result.error.find(part), std::string::npos) << part << result.error;
  }
  EXPECT_EQ(result.error.find("warning"), std::string::npos) << result.error;
}

TEST(Profile, OneStepIsNotLeftOutAndValidationIsNoPart) {
  Workspace space;
  space.prepare();
  const ProgramResult result = run_trireme(train_words(space, {"--steps", "1", "--profile"}));
  ASSERT_EQ(result.exit_code, 0) << result.error;
  EXPECT_NE(result.error.find("the mean of 1 step\n"), std::string::npos) << result.error;
  EXPECT_NE(result.error.find("need --calibration FILE: trireme bench --calibrate"), std::string::npos) << result.error;
  const std::map<std::string, double> table = milliseconds_by_name(result.error);
  EXPECT_LE(table.at("sum of ops"), table.at("step"));
  // The validation of the last step runs the same ops; a forward pass has one call of attention a layer.
  std::vector<int> calls;
  std::istringstream lines(result.error);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("attention_forward ", 0) == 0) calls.push_back(std::stoi(line.substr(43, 7)));
  }
  EXPECT_EQ(calls, std::vector<int>{2}) << result.error;
}

TEST(Profile, OnlyTheFirstRankPrints) {
  Workspace space;
  space.prepare();
  const ProgramResult result = run_trireme_ranks(2, space.train_words("run", {"--steps", "3", "--profile"}));
  ASSERT_EQ(result.exit_code, 0) << result.error;
  const size_t first = result.error.find("profile of a step, the mean of 2 steps (the first is left out), rank 0 of 2");
  ASSERT_NE(first, std::string::npos) << result.error;
  EXPECT_EQ(result.error.find("profile of a step", first + 1), std::string::npos) << result.error;
}

TEST(Calibration, GivesMfuItsPeakAndSaysTheFormula) {
  Workspace space;
  space.prepare();
  const std::string file = space.write("calibration.json", calibration_text(runtime::processor_name()));
  const ProgramResult result = run_trireme(train_words(space, {"--steps", "3", "--calibration", file}));
  ASSERT_EQ(result.exit_code, 0) << result.error;
  EXPECT_NE(result.error.find("(6 N + 6 L C T) / (100.0 Gflop/s x 1 rank), the peak by " + file), std::string::npos)
      << result.error;
  // N: per layer 12 C^2 + 13 C, then the last norm's 2 C and the tied table 257 C; L = 2, C = 128, T = 64.
  const double flops = 6.0 * (2 * (12 * 128 * 128 + 13 * 128) + 2 * 128 + 257 * 128) + 6.0 * 2 * 128 * 64;
  for (const auto& line : space.log("run")) {
    const double mfu = line.at("tokens_per_second").to_number<double>() * flops / 1e11;
    EXPECT_NEAR(line.at("mfu").to_number<double>(), mfu, 1e-9 * mfu);
  }
}

TEST(Calibration, OfAnotherMachineIsAWarningThatNamesBoth) {
  Workspace space;
  space.prepare();
  const std::string file = space.write("calibration.json", calibration_text("Abacus"));
  const ProgramResult result = run_trireme(train_words(space, {"--steps", "1", "--calibration", file}));
  ASSERT_EQ(result.exit_code, 0) << result.error;
  EXPECT_NE(result.error.find("warning: --calibration " + file + " was measured on Abacus, this is "),
            std::string::npos)
      << result.error;
  EXPECT_NE(result.error.find(runtime::processor_name()), std::string::npos) << result.error;
}

TEST(Calibration, AShippedProfileIsNamedAndWarnedOf) {
  Workspace space;
  space.prepare();
  const ProgramResult result = run_trireme(train_words(space, {"--steps", "1", "--calibration", "h100"}));
  ASSERT_EQ(result.exit_code, 0) << result.error;
  EXPECT_NE(result.error.find("warning: --calibration h100 was published of NVIDIA H100 SXM 80 GB, this is "),
            std::string::npos)
      << result.error;
}

TEST(Calibration, WrongFileIsOneLine) {
  Workspace space;
  space.prepare();
  expect_refused(run_trireme(train_words(space, {"--steps", "1", "--calibration", space.path("nowhere")})), 2,
                 "--calibration " + space.path("nowhere") + " does not exist; make one with trireme bench --calibrate");
  expect_refused(run_trireme(train_words(space, {"--steps", "1", "--calibration", space.path("model.json")})), 2,
                 "is not a calibration");
}

TEST(Bench, CalibrationOfTwoRanksIsTakenByTrain) {
  Workspace space;
  space.prepare();
  const std::string file = space.path("calibration.json");
  ProgramResult result =
      run_trireme_ranks(2, {"bench", "--calibrate", "--quick", "--output", file}, {.timeout_seconds = 110});
  ASSERT_EQ(result.exit_code, 0) << result.error;
  for (const char* part : {"fp32 peak ", "memory ", "ops ", "linear_backward_weight ", "all_reduce ", "reduce_scatter ",
                           "all_gather ", "send_recv ", "67.1 MB"}) {
    EXPECT_NE(result.output.find(part), std::string::npos) << part << "\n" << result.output;
  }
  result = run_trireme_ranks(2, train_words(space, {"--steps", "2", "--calibration", file}));
  ASSERT_EQ(result.exit_code, 0) << result.error;
  EXPECT_EQ(result.error.find("warning"), std::string::npos) << result.error;
  EXPECT_GT(space.log("run").back().at("mfu").to_number<double>(), 0);
  // What two ranks measured is not what one alone can do.
  result = run_trireme(train_words(space, {"--steps", "3", "--calibration", file}));
  ASSERT_EQ(result.exit_code, 0) << result.error;
  const std::string difference = "measured by 2 ranks x 1 thread on a machine, this run has 1 rank x 1 thread";
  EXPECT_NE(result.error.find(difference), std::string::npos) << result.error;
}

TEST(Bench, AloneItSaysHowMessagesAreMeasured) {
  Workspace space;
  const std::string file = space.write("calibration.json", calibration_text("Abacus"));  // may be replaced
  const ProgramResult result =
      run_trireme({"bench", "--calibrate", "--quick", "--output", file}, {.timeout_seconds = 110});
  ASSERT_EQ(result.exit_code, 0) << result.error;
  EXPECT_NE(result.output.find("mpirun -n 2 "), std::string::npos) << result.output;
  const boost::json::object written = boost::json::parse(space.read("calibration.json")).as_object();
  EXPECT_EQ(written.at("products").as_array().size(), 15u);
  EXPECT_TRUE(written.at("messages").as_array().empty());
  // An update and its shortest op, in both storages: what a plan times a step by.
  for (const char* storage : {"fp32", "bf16"}) {
    const auto has = [&](const char* op) {
      return std::ranges::any_of(written.at("ops").as_array(), [&](const boost::json::value& time) {
        return time.at("op") == op && time.at("storage") == storage && time.at("seconds").to_number<double>() > 0;
      });
    };
    for (const char* op : {"linear_forward", "attention_backward", "swiglu_forward", "adamw_update", "update_scale"}) {
      EXPECT_TRUE(has(op)) << op << " " << storage;
    }
  }
  EXPECT_NE(space.read("calibration.json").find(runtime::processor_name()), std::string::npos);
}

TEST(Bench, NobodysFileIsOverwritten) {
  Workspace space;
  const std::string file = space.write("thesis.json", "{}");
  expect_refused(run_trireme({"bench", "--calibrate", "--output", file}), 2,
                 "--output " + file + " exists and is not a calibration");
  EXPECT_EQ(space.read("thesis.json"), "{}");
  space.write("new.json.tmp", "a draft");
  expect_refused(run_trireme({"bench", "--calibrate", "--output", space.path("new.json")}), 2,
                 "--output " + space.path("new.json") + " is written as " + space.path("new.json.tmp") +
                     " first, and that exists; move it away or choose another file");
  EXPECT_EQ(space.read("new.json.tmp"), "a draft");
}

TEST(Bench, WhatCannotBeWrittenIsSaidBeforeMeasuring) {
  Workspace space;
  const std::string no_parent = space.path("nowhere/calibration.json");
  const std::string below_a_file = space.write("thesis.json", "{}") + "/calibration.json";
  const std::string no_files_here = "/proc/calibration.json";
  for (const std::string& file : {no_parent, below_a_file, no_files_here}) {
    const ProgramResult result = run_trireme({"bench", "--calibrate", "--output", file});
    expect_refused(result, 2, "--output " + file + " cannot be written: ");
    EXPECT_EQ(result.output, "");  // what was measured would stand there
  }
  expect_refused(run_trireme({"bench", "--calibrate", "--output", no_parent}), 2,
                 space.path("nowhere") + " is not a directory; make it, or choose another file");
}

}  // namespace
}  // namespace trireme::tests
