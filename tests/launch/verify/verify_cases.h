// Layouts of the tests of `model` as `verify` is asked about them, on ranks that are threads.
#pragma once

#include <boost/json/serialize.hpp>

#include "launch/verification.h"
#include "runtime/local_ranks.h"
#include "tests/launch/workspace.h"
#include "tests/model/layout_cases.h"

namespace trireme::tests {

/// A model's file, for as long as this lives.
class ModelFile {
 public:
  explicit ModelFile(const model::ModelConfig& config) {
    path_ = space_.write("model.json", boost::json::serialize(model::to_json(config)));
  }
  const std::string& path() const { return path_; }

 private:
  Workspace space_;
  std::string path_;
};

/// What `trireme verify` would be told about a layout; random tokens.
inline launch::VerifyOptions options_of(const LayoutCase& layout, const ModelFile& model) {
  launch::VerifyOptions options;
  launch::TrainOptions& train = options.train;
  train.model = model.path();
  train.steps = 100;
  train.sequence_length = kLayoutTokens;
  train.microbatch_size = layout.B;
  train.global_batch_size = layout.sequences();
  train.tensor_parallel = layout.mesh.tp;
  train.pipeline_parallel = layout.mesh.pp;
  train.pipeline_schedule = parallel::name(layout.schedule);
  train.virtual_stages = layout.virtual_stages;
  train.zero_stage = layout.zero_stage;
  train.recompute = layout.recompute == model::Recompute::none        ? "none"
                    : layout.recompute == model::Recompute::selective ? "selective"
                                                                      : "full";
  train.device = "cpu";
  train.dropout = 0.1;
  train.learning_rate = 1e-3;
  train.watchdog_timeout = 0;
  return options;
}

/// Checks that all ranks come to the same result.
inline launch::Verification verify_on_local_ranks(const launch::VerifyOptions& options, int ranks) {
  std::vector<launch::Verification> results(static_cast<size_t>(ranks));
  runtime::run_local_ranks(ranks, [&](runtime::Communicator& world) {
    results[static_cast<size_t>(world.rank())] = launch::verify(options, world);
  });
  for (const launch::Verification& result : results) {
    EXPECT_EQ(result.passed, results.front().passed);
    EXPECT_EQ(result.steps.size(), results.front().steps.size());
    EXPECT_EQ(result.findings.size(), results.front().findings.size());
  }
  return results.front();
}

/// The findings that do not pass, in order.
inline std::vector<launch::Finding> failures_of(const launch::Verification& verification) {
  std::vector<launch::Finding> failures;
  for (const launch::Finding& finding : verification.findings) {
    if (!finding.passes()) failures.push_back(finding);
  }
  return failures;
}

}  // namespace trireme::tests
