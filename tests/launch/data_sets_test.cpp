// The program with several data sets, the blocked order and document masks: the same training on any ranks and after a
// resume, and `data show` that tells it.
#include <gtest/gtest.h>

#include <set>

#include "tests/launch/workspace.h"

namespace trireme::tests {
namespace {

/// Two data sets, "data" and "more", of documents of a line each.
void prepare_two(const Workspace& space) {
  space.prepare();
  for (const auto& [name, bytes] : {std::pair<std::string, size_t>{"data", 12000}, {"more", 6000}}) {
    space.write(name + ".txt", Workspace::corpus(bytes));
    std::filesystem::remove_all(space.path(name));
    const ProgramResult result = run_trireme(
        {"prepare", "--input", space.path(name + ".txt"), "--output", space.path(name), "--document-separator", "\\n"});
    ASSERT_EQ(result.exit_code, 0) << result.error;
  }
}

/// Of a `train` over both sets with everything that this file is about; `more` may replace some of it.
std::vector<std::string> mixture_words(const Workspace& space, const std::string& run,
                                       const std::vector<std::string>& more) {
  std::vector<std::string> words =
      space.train_words(run, {"--data", space.path("data"), space.path("more"), "--data-weights", "1", "2", "--shuffle",
                              "blocked", "--document-mask", "--steps", "12"});
  words.insert(words.end(), more.begin(), more.end());
  return words;
}

void expect_same_losses(const Workspace& space, const std::string& run, const std::string& expected_run) {
  const auto log = space.log(run);
  const auto expected = space.log(expected_run);
  ASSERT_EQ(log.size(), expected.size());
  for (size_t i = 0; i < log.size(); ++i) {
    const double loss = expected[i].at("loss").to_number<double>();
    EXPECT_NEAR(log[i].at("loss").to_number<double>(), loss, 1e-5 * loss) << run << ", step " << i + 1;  // fp32 sums
  }
  const double loss = expected.back().at("validation_loss").to_number<double>();
  EXPECT_NEAR(log.back().at("validation_loss").to_number<double>(), loss, 1e-5 * loss) << run;
}

std::vector<boost::json::object> shown(const std::vector<std::string>& words) {
  std::vector<std::string> all{"data", "show"};
  all.insert(all.end(), words.begin(), words.end());
  all.emplace_back("--json");
  const ProgramResult result = run_trireme(all);
  EXPECT_EQ(result.exit_code, 0) << result.error;
  std::vector<boost::json::object> samples;
  std::istringstream lines(result.output);
  for (std::string line; std::getline(lines, line);) samples.push_back(boost::json::parse(line).as_object());
  return samples;
}

TEST(DataSets, AMixtureTrainsTheSameOnAnyRanksAndAfterAResume) {
  Workspace space;
  prepare_two(space);
  ASSERT_EQ(run_trireme(mixture_words(space, "alone", {})).exit_code, 0);
  const ProgramResult result = run_trireme_ranks(2, mixture_words(space, "ranks", {}));
  ASSERT_EQ(result.exit_code, 0) << result.error;
  expect_same_losses(space, "ranks", "alone");
  ASSERT_EQ(run_trireme_ranks(2, mixture_words(space, "resumed", {"--pipeline-parallel", "2", "--stop-at-step", "5"}))
                .exit_code,
            0);
  ASSERT_EQ(run_trireme(mixture_words(space, "resumed", {})).exit_code, 0);
  expect_same_losses(space, "resumed", "alone");

  // The same mask and the same targets: the losses agree.
  const ProgramResult evaluated =
      run_trireme({"evaluate", "--model", space.path("alone"), "--data", space.path("data"), space.path("more")});
  ASSERT_EQ(evaluated.exit_code, 0) << evaluated.error;
  double loss = 0;
  ASSERT_EQ(std::sscanf(evaluated.output.c_str(), "loss %lf", &loss), 1) << evaluated.output;
  EXPECT_NEAR(loss, space.log("alone").back().at("validation_loss").to_number<double>(), 1e-5 * loss);
}

TEST(DataSets, AResumeMayNotChangeThem) {
  Workspace space;
  prepare_two(space);
  ASSERT_EQ(run_trireme(mixture_words(space, "run", {"--stop-at-step", "2"})).exit_code, 0);
  const std::string data = space.path("data");
  const std::string more = space.path("more");
  const std::vector<std::pair<std::vector<std::string>, std::string>> changes{
      {{"--data-weights", "1", "3"}, "--data-weights is [1.0, 3.0]"},
      {{"--data", more, data}, "--data is ["},
      {{"--shuffle", "full"}, "--shuffle is \"full\", but"},
      {{"--document-mask=false"}, "--document-mask is false, but"}};
  for (const auto& [words, message] : changes) {
    expect_refused(run_trireme(mixture_words(space, "run", words)), 2, message);
  }
  const std::vector<std::string> plain = space.train_words("plain", {"--steps", "4"});
  std::vector<std::string> first = plain;
  first.insert(first.end(), {"--stop-at-step", "2"});
  ASSERT_EQ(run_trireme(first).exit_code, 0);
  std::vector<std::string> masked = plain;
  masked.emplace_back("--document-mask");
  expect_refused(run_trireme(masked), 2, "--document-mask is true, but");
  EXPECT_EQ(run_trireme(plain).exit_code, 0);
}

TEST(DataSets, SetsThatDoNotGoTogetherAreRefused) {
  Workspace space;
  prepare_two(space);
  const auto train = [&](const std::vector<std::string>& more) {
    return run_trireme(space.train_words("run", [&] {
      std::vector<std::string> words{"--steps", "2", "--data", space.path("data"), space.path("more")};
      words.insert(words.end(), more.begin(), more.end());
      return words;
    }()));
  };
  expect_refused(train({"--data-weights", "1", "1e-6"}), 2, "data set 2 of 2 is less than 1/32,768 of the mixture");
  ASSERT_EQ(run_trireme({"prepare", "--input", space.path("more.txt"), "--output", space.path("other"),
                         "--train-tokenizer", "bpe", "--vocab-size", "300"})
                .exit_code,
            0);
  expect_refused(train({"--data", space.path("data"), space.path("other")}), 2, "different tokenizers");
}

TEST(DataShow, TellsTheDocumentsOfAStepOfARun) {
  Workspace space;
  prepare_two(space);
  ASSERT_EQ(run_trireme(mixture_words(space, "run", {"--stop-at-step", "5"})).exit_code, 0);
  ASSERT_EQ(run_trireme(mixture_words(space, "run", {"--global-batch-size", "4"})).exit_code, 0);
  const std::vector<std::string> order{
      space.path("data"), space.path("more"), "--sequence-length",  "32", "--data-weights", "1", "2",
      "--shuffle",        "blocked",          "--global-batch-size"};
  const auto of_data = [&](const std::string& batch, const std::string& step) {
    std::vector<std::string> words = order;
    words.insert(words.end(), {batch, "--step", step});
    return shown(words);
  };
  const auto of_run = [&](const std::string& step) { return shown({space.path("run"), "--step", step}); };
  EXPECT_EQ(of_run("5"), of_data("8", "5"));
  // Steps 6 and 7, of 4 samples, begin at sample 40: together they are what step 6 of 8 samples would have been.
  std::vector<boost::json::object> both = of_run("6");
  ASSERT_EQ(both.size(), 4u);
  EXPECT_EQ(both.front().at("sample"), 40);
  for (const boost::json::object& sample : of_run("7")) both.push_back(sample);
  EXPECT_EQ(both, of_data("8", "6"));

  // Documents are lines of the files: they say the same as the tokens, which are bytes here.
  std::set<std::string> sets;
  for (const boost::json::object& sample : both) {
    sets.insert(std::string(sample.at("data").as_string()));
    const int64_t begin = sample.at("begin").as_int64();
    EXPECT_EQ(sample.at("end").as_int64(), begin + 32);
    int64_t at = begin;
    for (const boost::json::value& document : sample.at("documents").as_array()) {
      EXPECT_LE(document.at("begin").as_int64(), at);
      at = document.at("end").as_int64();
      EXPECT_NE(std::string(document.at("file").as_string()).find(".txt"), std::string::npos);
      EXPECT_EQ(document.at("hash").as_string().size(), 32u);
    }
    EXPECT_GT(at, begin + 32);  // the last target is one later
  }
  EXPECT_EQ(sets.size(), 2u);
}

TEST(DataShow, RefusesWhatItCannotTell) {
  Workspace space;
  prepare_two(space);
  const std::string data = space.path("data");
  expect_refused(run_trireme({"data"}), 2, "data needs an action: show");
  expect_refused(run_trireme({"data", "shwo", data}), 2, "'shwo' is not an action of data");
  expect_refused(run_trireme({"data", "show"}), 2, "needs a run or a prepared directory");
  expect_refused(run_trireme({"data", "show", data}), 2, "data show needs --step N");
  expect_refused(run_trireme({"data", "show", data, "--step", "1"}), 2, "--global-batch-size");
  expect_refused(run_trireme({"data", "show", space.path("nothing"), "--step", "1", "--global-batch-size", "1",
                              "--sequence-length", "8"}),
                 2, "nothing");
  ASSERT_EQ(run_trireme(space.train_words("run", {"--steps", "1"})).exit_code, 0);
  const std::string run = space.path("run");
  expect_refused(run_trireme({"data", "show", run, "--step", "1", "--seed", "3"}), 2, "is a run");
  // Other data under the same name.
  std::filesystem::remove_all(data);
  std::filesystem::rename(space.path("more"), data);
  expect_refused(run_trireme({"data", "show", run, "--step", "1"}), 1, "has changed");
  std::ofstream(space.path("run/log.jsonl"), std::ios::app) << "{\"step\":2,\"tokens\":1}\n";
  expect_refused(run_trireme({"data", "show", run, "--step", "1"}), 1, "log.jsonl has 1 tokens at step 2");
}

}  // namespace
}  // namespace trireme::tests
