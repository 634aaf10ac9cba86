// The program's plan: before anything is launched, without data, and what a run on so many ranks then reports.
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>

#include "tests/launch/workspace.h"

namespace trireme::tests {
namespace {

namespace json = boost::json;

json::object plan_of(std::vector<std::string> words) {
  words.insert(words.begin(), "plan");
  words.emplace_back("--json");
  const ProgramResult result = run_trireme(words);
  EXPECT_EQ(result.exit_code, 0) << result.error;
  return json::parse(result.output).as_object();
}

int64_t number(const json::value& value) {
  return value.to_number<int64_t>();
}

std::vector<std::string> split(const std::string& text) {
  std::istringstream words(text);
  return {std::istream_iterator<std::string>(words), {}};
}

TEST(Plan, NeedsNoDataAndNoRun) {
  const ProgramResult result = run_trireme(split("plan --model nano"));
  ASSERT_EQ(result.exit_code, 0) << result.error;
  EXPECT_EQ(result.error, "");
  EXPECT_NE(result.output.find("vocabulary 257: 256 bytes and end of text"), std::string::npos) << result.output;
  EXPECT_NE(result.output.find("1 rank = tp 1 x dp 1 x pp 1, ZeRO 0, 1 microbatch of 8 sequences"), std::string::npos)
      << result.output;
  EXPECT_NE(result.output.find("time      not known: --calibration FILE"), std::string::npos) << result.output;
}

TEST(Plan, CategoriesAddUp) {
  const json::object plan =
      plan_of(split("--model llama-8b --world-size 64 --tensor-parallel 4 --pipeline-parallel 4 "
                    "--global-batch-size 64 --precision bf16 --device cuda --zero-stage 2"));
  const json::array& stages = plan.at("stages").as_array();
  ASSERT_EQ(stages.size(), 4u);
  int64_t most_bytes = 0;
  int64_t layers = 0;
  for (const json::value& stage : stages) {
    int64_t sum = 0;
    for (const auto& [name, bytes] : stage.at("bytes").as_object()) {
      if (name != "total") sum += number(bytes);
    }
    const int64_t total = number(stage.at("bytes").at("total"));
    EXPECT_EQ(sum, total);
    EXPECT_EQ(number(stage.at("ranks")), 16);
    const json::value& planned = stage.at("planned_bytes");
    EXPECT_EQ(number(planned.at("persistent")) + number(planned.at("slots")) + number(planned.at("scratch")) +
                  number(stage.at("bytes").at("staging")) + number(stage.at("bytes").at("reserve")),
              total);
    int64_t slots = 0;
    for (const json::value& slot : stage.at("slots").as_array()) {
      slots += number(slot.at("count")) * number(slot.at("bytes"));
    }
    EXPECT_EQ(slots, number(planned.at("slots")));
    for (const json::value& chunk : stage.at("layers").as_array()) layers += number(chunk);
    most_bytes = std::max(most_bytes, total);
    for (const char* axis : {"tp", "dp", "pp"}) EXPECT_TRUE(stage.at("sent").as_object().contains(axis)) << axis;
  }
  EXPECT_EQ(layers, 32);
  EXPECT_EQ(number(plan.at("needed_bytes")), most_bytes);
  EXPECT_EQ(number(plan.at("tokens_per_step")), 64 * 8192);
  EXPECT_EQ(plan.at("layout").at("dp"), 4);
}

/// A GPU is planned by a shipped profile where no calibration is given; both ways of asking for it are one.
TEST(Plan, TimesAddUp) {
  const std::string words =
      "--model llama-8b --world-size 16 --tensor-parallel 2 --pipeline-parallel 2 "
      "--global-batch-size 64 --precision bf16 ";
  const json::object plan = plan_of(split(words + "--device cuda"));
  EXPECT_EQ(plan.at("calibration"), "h100");
  EXPECT_EQ(plan_of(split(words + "--calibration h100")), plan);
  EXPECT_EQ(plan.at("ranks_per_node"), 8);
  const auto seconds = [&](const char* part) { return plan.at("time").at(part).to_number<double>(); };
  double sum = 0;
  for (const char* part : {"compute_seconds", "tp_seconds", "bubble_seconds", "dp_seconds", "update_seconds"}) {
    EXPECT_GE(seconds(part), 0) << part;
    sum += seconds(part);
  }
  EXPECT_NEAR(sum, seconds("step_seconds"), 1e-9 * sum);  // rounding of five sums
  EXPECT_NEAR(plan.at("tokens_per_second").to_number<double>() * sum, 64 * 8192, 1e-6 * 64 * 8192);
  EXPECT_GT(plan.at("mfu").to_number<double>(), 0.1);
  EXPECT_LT(plan.at("mfu").to_number<double>(), 1);
  const json::object slower = plan_of(split(words + "--device cuda --ranks-per-node 1"));
  EXPECT_GT(slower.at("time").at("step_seconds").to_number<double>(), sum) << "tensor parallelism over the network";
}

/// The words of train, run and data included, are those of plan.
TEST(Plan, IsWhatTheRunOnEightRanksReports) {
  Workspace space;
  space.prepare();
  space.write("model.json", R"({"model_type": "llama", "num_hidden_layers": 4, "num_attention_heads": 4,
              "num_key_value_heads": 2, "hidden_size": 32, "intermediate_size": 48, "max_position_embeddings": 32,
              "vocab_size": 257, "tie_word_embeddings": true})");
  const std::vector<std::string> words =
      space.train_words("run", split("--steps 2 --tensor-parallel 2 --pipeline-parallel 2 --microbatch-size 1 "
                                     "--recompute selective --document-mask --zero-stage 2 --device cpu --threads 1"));
  std::vector<std::string> plan_words(words.begin() + 1, words.end());
  plan_words.insert(plan_words.end(), {"--world-size", "8"});
  const json::object plan = plan_of(plan_words);
  const ProgramResult run = run_trireme_ranks(8, words, {.timeout_seconds = 110});
  ASSERT_EQ(run.exit_code, 0) << run.error;
  const json::value config = json::parse(space.read("run/config.json"));
  const json::value& reported = config.at("resolved").at("planned_bytes");
  for (size_t rank = 0; rank < 8; ++rank) {
    const json::value& stage = plan.at("stages").at(rank / 4);
    for (const char* part : {"persistent", "slots", "scratch"}) {
      EXPECT_GT(number(reported.at(part).at(rank)), 0);
      EXPECT_EQ(number(reported.at(part).at(rank)), number(stage.at("planned_bytes").at(part)))
          << part << " of rank " << rank;
    }
    EXPECT_EQ(number(reported.at("staging").at(rank)), number(stage.at("bytes").at("staging"))) << "rank " << rank;
  }
  EXPECT_EQ(plan.at("layout"), config.at("resolved").at("layout"));
  EXPECT_EQ(plan.at("microbatches"), config.at("resolved").at("microbatches"));
  EXPECT_EQ(plan.at("recompute"), "selective");
}

TEST(Plan, AModelWithoutAVocabularyTakesThatOfTheData) {
  Workspace space;
  space.prepare();
  const json::object with_data = plan_of({"--model", "nano", "--data", space.path("data")});
  EXPECT_EQ(with_data.at("vocabulary_size"), plan_of({"--model", "nano"}).at("vocabulary_size"));
  EXPECT_NE(run_trireme({"plan", "--model", "nano", "--data", space.path("data")}).output.find("that of --data"),
            std::string::npos);
}

TEST(Plan, RefusesWhatDoesNotFitTogether) {
  const auto expect = [](const std::string& words, const std::string& part) {
    const ProgramResult result = run_trireme(split("plan " + words));
    expect_refused(result, 2, part);
    EXPECT_EQ(result.output, "");
  };
  expect("--model nano --world-size 3 --tensor-parallel 2",
         "--tensor-parallel 2 needs 2 ranks or a multiple of that, got 3: start 2 or 4");
  expect("--model nano --world-size 3", "--global-batch-size 8 does not divide by 3 ranks");
  expect("--model llama-9b", "--model");
  expect("--world-size 2", "plan needs --model");
  expect("--model nano --world-size 0", "--world-size");
  expect("--model nano --sequence-length 512", "--sequence-length 512 exceeds the model's 256 positions");
  expect("--model nano --calibration nowhere.json", "nowhere.json");
  expect("--model nano --data nowhere", "nowhere");
  expect("--model nano --wold-size 2", "--wold-size is not an option of plan; did you mean --world-size?");
  expect("--model nano --device-memory 0", "--device-memory");
}

TEST(DeviceMemory, APlanThatDoesNotFitSaysWhatWould) {
  const std::string words =
      "plan --model gpt2-124m --global-batch-size 8 --world-size 1 --microbatch-size 8 --device cpu --device-memory ";
  const ProgramResult fits = run_trireme(split(words + "100"));
  EXPECT_EQ(fits.exit_code, 0);
  EXPECT_NE(fits.output.find("fits: needs "), std::string::npos) << fits.output;
  const ProgramResult result = run_trireme(split(words + "4"));
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.output.find("does not fit: needs "), std::string::npos) << result.output;
  const size_t at = result.error.find("with --");
  ASSERT_NE(at, std::string::npos) << result.error;
  // The first setting, taken at its word.
  const std::string setting = result.error.substr(at + 5, result.error.find(" it needs ") - at - 5);
  EXPECT_EQ(run_trireme(split(words + "4 " + setting)).exit_code, 0) << setting;
}

TEST(DeviceMemory, TrainAndSubmitRefuseToStart) {
  Workspace space;
  space.prepare();
  const ProgramResult result = run_trireme(space.train_words("run", split("--steps 2 --device-memory 0.0005")));
  expect_refused(result, 2, "--device-memory is 500.0 kB; ");
  EXPECT_FALSE(std::filesystem::exists(space.path("run/config.json")));
  EXPECT_EQ(run_trireme(space.train_words("run", split("--steps 2 --device-memory 1"))).exit_code, 0);

  std::vector<std::string> submit = space.train_words("job", split("--steps 2 --threads 1 --nodes 2 --print"));
  submit[0] = "submit";
  std::vector<std::string> too_little = submit;
  too_little.insert(too_little.end(), {"--device-memory", "0.0005"});
  expect_refused(run_trireme(too_little), 2, "--device-memory is 500.0 kB; ");
  submit.insert(submit.end(), {"--device-memory", "1"});
  const ProgramResult job = run_trireme(submit);
  EXPECT_EQ(job.exit_code, 0) << job.error;
  EXPECT_NE(job.output.find("--device-memory 1"), std::string::npos) << job.output;
}

/// All ranks find it, and one says it.
TEST(DeviceMemory, IsHeldAgainstTheRankThatNeedsMost) {
  Workspace space;
  space.prepare();
  const std::vector<std::string> layout =
      split("--steps 2 --pipeline-parallel 2 --microbatch-size 1 --device cpu --threads 1");
  std::vector<std::string> plan_words = space.train_words("run", layout);
  plan_words.erase(plan_words.begin());
  plan_words.insert(plan_words.end(), {"--world-size", "2"});
  const json::object plan = plan_of(plan_words);
  const auto train = [&](int64_t bytes) {
    std::vector<std::string> words = space.train_words("run", layout);
    words.insert(words.end(), {"--device-memory", std::to_string(static_cast<double>(bytes) / 1e9)});
    return run_trireme_ranks(2, words);
  };
  const int64_t needed_bytes = number(plan.at("needed_bytes"));
  EXPECT_EQ(train(needed_bytes - 1000).exit_code, 2);  // six digits of a GB are 1,000 bytes
  EXPECT_EQ(train(needed_bytes + 1000).exit_code, 0);
}

}  // namespace
}  // namespace trireme::tests
