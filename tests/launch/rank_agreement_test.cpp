#include "launch/rank_agreement.h"

#include <gtest/gtest.h>

#include <boost/json/serialize.hpp>
#include <vector>

#include "launch/option_tables.h"
#include "launch/version.h"
#include "runtime/local_ranks.h"

namespace trireme::launch {
namespace {

namespace json = boost::json;

/// What each rank finds; they must all find the same.
std::string difference_among(const std::vector<json::object>& ranks) {
  std::vector<std::string> found(ranks.size());
  runtime::run_local_ranks(static_cast<int>(ranks.size()), [&](runtime::Communicator& world) {
    const auto rank = static_cast<size_t>(world.rank());
    found[rank] = difference_between_ranks(world, ranks[rank]).value_or("none");
  });
  for (const std::string& one : found) EXPECT_EQ(one, found[0]);
  return found[0];
}

json::object shared_of(TrainOptions options) {
  check(options);
  return shared_options(option_table(options));
}

TEST(RankAgreement, NamesTheOptionBothValuesAndBothRanks) {
  TrainOptions options;
  options.steps = 10;
  const json::object first = shared_of(options);
  EXPECT_EQ(difference_among({first, first, first}), "none");
  options.seed = 7;
  EXPECT_EQ(difference_among({first, first, shared_of(options), first}),
            "--seed is 7 on rank 2 and 1 on rank 0; all ranks must have the same");
  options = {.steps = 10, .zero_stage = 2};
  EXPECT_EQ(difference_among({first, shared_of(options)}),
            "--zero-stage is 2 on rank 1 and not given on rank 0; all ranks must have the same");
  options = {.run = "a", .steps = 10};
  EXPECT_EQ(difference_among({first, shared_of(options)}),
            "--run is \"a\" on rank 1 and \"\" on rank 0; all ranks must have the same");
}

TEST(RankAgreement, ThreadsMayDiffer) {
  TrainOptions options{.steps = 10};
  const json::object first = shared_of(options);
  options.threads = 3;
  EXPECT_EQ(difference_among({first, shared_of(options)}), "none");
}

TEST(RankAgreement, CommandAndProgramAreCompared) {
  const json::object train = shared_of({.steps = 10});
  EXPECT_EQ(train.at("the program").as_string(), version() + " (" + commit() + ")");
  EvaluateOptions evaluate;
  EXPECT_EQ(difference_among({train, shared_options(option_table(evaluate))}),
            "the command is \"evaluate\" on rank 1 and \"train\" on rank 0; all ranks must have the same");
  json::object older = train;
  older["the program"] = "0.0.1 (abc)";
  EXPECT_EQ(difference_among({older, train}), "the program is " + json::serialize(train.at("the program")) +
                                                  " on rank 1 and \"0.0.1 (abc)\" on rank 0; all ranks must have the "
                                                  "same");
  older = train;
  older.erase("--seed");
  EXPECT_EQ(difference_among({older, train}),
            "--seed is 1 on rank 1 and not given on rank 0; all ranks must have the same");
}

}  // namespace
}  // namespace trireme::launch
