// `verify` finds planted errors, and names the parameter.
#include "launch/commands.h"
#include "launch/verify_report.h"
#include "tests/launch/verify/planted_step_faults.h"
#include "tests/launch/verify/verify_cases.h"

namespace trireme::tests {
namespace {

using Kind = PlantedFault::Kind;
using launch::Check;

/// Units of a rank without a pipeline: embedding, positions, layers, head.
constexpr size_t kThirdLayer = 4;

struct FaultCase {
  std::string name;
  PlantedFault fault;
  LayoutCase layout;
  Check check = Check::gradient;
  std::string tensor{};  ///< what the name of the first offender begins with
  std::string precision = "fp32";
};

void PrintTo(const FaultCase& one, std::ostream* out) {
  *out << one.name;
}

const LayoutCase kZero1{.mesh = {.dp = 2}, .zero_stage = 1, .microbatches = 2};
const LayoutCase kZero2{.mesh = {.dp = 2}, .zero_stage = 2, .microbatches = 2};
const LayoutCase kZero3{.mesh = {.dp = 2}, .zero_stage = 3, .microbatches = 2};
const LayoutCase kTensor{.mesh = {.tp = 2}, .microbatches = 2};
const LayoutCase kPipeline{.mesh = {.pp = 2}, .microbatches = 2};
const LayoutCase kAll{.mesh = {.tp = 2, .dp = 2, .pp = 2}, .zero_stage = 2, .microbatches = 2};

std::vector<FaultCase> fault_cases() {
  const PlantedFault missing{.kind = Kind::missing_reduction, .unit = kThirdLayer};
  const PlantedFault shifted{.kind = Kind::shifted_range, .unit = kThirdLayer};
  const PlantedFault swapped{.kind = Kind::swapped_targets};
  const std::string up = "layers.2.mlp.up_proj.weight";
  const PlantedFault rows{.kind = Kind::shifted_rows, .parameter = up};
  const PlantedFault scaled{.kind = Kind::wrong_scale, .parameter = up, .scale = 1.001};
  const PlantedFault doubled{.kind = Kind::wrong_scale, .parameter = up, .scale = 2};
  const PlantedFault no_decay{.kind = Kind::no_decay, .parameter = up};
  const std::string layer = "layers.2.";
  return {
      {"MissingReductionZero1", missing, kZero1, Check::gradient, layer},
      {"MissingReductionZero2", missing, kZero2, Check::gradient, layer},
      {"MissingReductionZero3", missing, kZero3, Check::gradient, layer},
      {"MissingReductionTensor", missing, kTensor, Check::gradient, layer},
      {"MissingReductionAllAxes", {.kind = Kind::missing_reduction, .unit = 2}, kAll, Check::gradient, "layers."},
      {"MissingReductionZero3Bf16", missing, kZero3, Check::gradient, layer, "bf16"},
      {"MissingTiedSumPipeline", {.kind = Kind::missing_tied_sum}, kPipeline, Check::gradient, "embed_tokens"},
      {"ShiftedRangeZero1", shifted, kZero1, Check::ownership, layer},
      {"ShiftedRangeZero2", shifted, kZero2, Check::ownership, layer},
      {"ShiftedRangeZero3", shifted, kZero3, Check::ownership, layer},
      {"ShiftedRangeZero2Bf16", shifted, kZero2, Check::ownership, layer, "bf16"},
      {"ShiftedRowsTensor", rows, kTensor, Check::ownership, up},
      {"ShiftedRowsAllAxes", rows, kAll, Check::ownership, up},
      {"ShiftedLayersPipeline", {.kind = Kind::shifted_layers}, kPipeline, Check::ownership, "layers.7."},
      {"WrongScaleZero1", scaled, kZero1, Check::gradient, up},
      {"WrongScaleZero2", scaled, kZero2, Check::gradient, up},
      {"WrongScaleZero3", scaled, kZero3, Check::gradient, up},
      {"WrongScaleTensor", scaled, kTensor, Check::gradient, up},
      {"WrongScalePipeline", scaled, kPipeline, Check::gradient, up},
      {"WrongScaleAllAxes", scaled, kAll, Check::gradient, up},
      {"WrongScaleZero2Bf16", scaled, kZero2, Check::gradient, up, "bf16"},
      {"WrongScalePipelineBf16", scaled, kPipeline, Check::gradient, up, "bf16"},
      {"DoubleScaleTensorBf16", doubled, kTensor, Check::gradient, up, "bf16"},
      {"SwappedTargetsZero1", swapped, kZero1, Check::gradient, ""},
      {"SwappedTargetsZero2", swapped, kZero2, Check::gradient, ""},
      {"SwappedTargetsZero3", swapped, kZero3, Check::gradient, ""},
      {"SwappedTargetsTensor", swapped, kTensor, Check::gradient, ""},
      {"SwappedTargetsPipeline", swapped, kPipeline, Check::gradient, ""},
      {"SwappedTargetsTensorBf16", swapped, kTensor, Check::gradient, "", "bf16"},
      {"SwappedTargetsPipelineBf16", swapped, kPipeline, Check::gradient, "", "bf16"},
      {"LateCopyZero1", {.kind = Kind::late_copy}, kZero1, Check::copies, "embed_tokens"},
      {"LateCopyZero2Bf16", {.kind = Kind::late_copy}, kZero2, Check::copies, "embed_tokens", "bf16"},
      {"NoDecayZero3", no_decay, kZero3, Check::update, up},
      {"NoDecayTensorBf16", no_decay, kTensor, Check::update, up, "bf16"},
  };
}

class VerifyFaults : public testing::TestWithParam<FaultCase> {};

TEST_P(VerifyFaults, AreNamed) {
  const FaultCase& wrong = GetParam();
  const ModelFile model(layout_gpt2());
  launch::VerifyOptions options = options_of(wrong.layout, model);
  options.train.precision = wrong.precision;
  options.train.weight_decay = 1;  // or its lack is as small as the learning rate x 0.02 x 0.1
  const FaultScope planted(wrong.fault);
  const launch::Verification verification = verify_on_local_ranks(options, wrong.layout.mesh.world_size());
  const std::string report = launch::verify_report(verification);
  EXPECT_FALSE(verification.passed) << report;
  const std::vector<launch::Finding> failures = failures_of(verification);
  ASSERT_FALSE(failures.empty()) << report;
  EXPECT_EQ(failures.front().check, wrong.check) << report;
  EXPECT_FALSE(failures.front().tensor.empty()) << report;
  EXPECT_TRUE(failures.front().tensor.starts_with(wrong.tensor)) << report;
  EXPECT_NE(report.find("FAILED, first: " + launch::name(wrong.check) + " of " + failures.front().tensor),
            std::string::npos)
      << report;
}

INSTANTIATE_TEST_SUITE_P(, VerifyFaults, testing::ValuesIn(fault_cases()),
                         [](const auto& test) { return test.param.name; });

// The other parameters are not accused of what one has done.
TEST(VerifyFault, AWrongScaleIsThatParametersAlone) {
  const ModelFile model(layout_gpt2());
  const FaultScope planted(
      {.kind = Kind::wrong_scale, .parameter = "layers.5.self_attn.o_proj.weight", .scale = 1.001});
  const launch::VerifyOptions options = options_of(kZero3, model);
  for (const launch::Finding& finding : failures_of(verify_on_local_ranks(options, 2))) {
    if (finding.check != Check::gradient) continue;
    EXPECT_EQ(finding.tensor, "layers.5.self_attn.o_proj.weight");
    EXPECT_EQ(finding.rank, 1);
    EXPECT_EQ(finding.step, 1);
  }
}

TEST(VerifyFault, TheCommandEndsWithOne) {
  const ModelFile model(layout_gpt2());
  const launch::VerifyOptions options = options_of(kPipeline, model);
  const auto codes = [&] {
    std::vector<int> all(2);
    testing::internal::CaptureStdout();
    runtime::run_local_ranks(2, [&](runtime::Communicator& world) {
      all[static_cast<size_t>(world.rank())] = launch::run_verify(options, world);
    });
    testing::internal::GetCapturedStdout();
    return all;
  };
  EXPECT_EQ(codes(), (std::vector{0, 0}));
  const FaultScope planted({.kind = Kind::swapped_targets});
  EXPECT_EQ(codes(), (std::vector{1, 1}));
}

}  // namespace
}  // namespace trireme::tests
