// The program's search over layouts: what it finds is what `plan` says of that layout alone.
#include <gtest/gtest.h>

#include <iterator>
#include <sstream>

#include "tests/launch/workspace.h"

namespace trireme::tests {
namespace {

namespace json = boost::json;

std::vector<std::string> split(const std::string& text) {
  std::istringstream words(text);
  return {std::istream_iterator<std::string>(words), {}};
}

const std::string kTraining =
    "plan --model llama-1b --world-size 8 --global-batch-size 16 --sequence-length 1024 --precision bf16 --device "
    "cuda ";

TEST(PlanSearch, FindsWhatPlanSaysOfThatLayoutAlone) {
  const ProgramResult found = run_trireme(split(kTraining + "--search --top 3 --recompute selective --json"));
  ASSERT_EQ(found.exit_code, 0) << found.error;
  const json::object search = json::parse(found.output).as_object();
  ASSERT_EQ(search.at("best").as_array().size(), 3u);
  for (const json::value& best : search.at("best").as_array()) {
    const std::string options(best.at("options").as_string());
    EXPECT_NE(options.find("--recompute selective"), std::string::npos) << "it was given: " << options;
    const ProgramResult alone = run_trireme(split(kTraining + options + " --json"));
    ASSERT_EQ(alone.exit_code, 0) << alone.error;
    const json::object plan = json::parse(alone.output).as_object();
    EXPECT_EQ(plan.at("tokens_per_second").to_number<double>(), best.at("tokens_per_second").to_number<double>());
  }
}

TEST(PlanSearch, SaysThatNothingFits) {
  const ProgramResult result = run_trireme(split(kTraining + "--search --pipeline-schedule zb-h1 --device-memory 1"));
  EXPECT_EQ(result.exit_code, 1) << result.error;
  EXPECT_NE(result.output.find(", 0 fit in 1.0 GB a rank (--device-memory)\n"), std::string::npos) << result.output;
  EXPECT_NE(result.output.find("--pipeline-schedule zb-h1 needs a pipeline: "), std::string::npos) << result.output;
  EXPECT_NE(result.output.find(" too much: tp "), std::string::npos) << result.output;
}

TEST(PlanSearch, TopIsForASearch) {
  const ProgramResult result = run_trireme(split(kTraining + "--top 3"));
  EXPECT_EQ(result.exit_code, 2);
  EXPECT_NE(result.error.find("--top 3 is for --search, which is not given"), std::string::npos) << result.error;
}

}  // namespace
}  // namespace trireme::tests
