#include "launch/calibration_source.h"

#include <gtest/gtest.h>

#include <set>

#include "runtime/device_peaks.h"
#include "runtime/error.h"
#include "runtime/time_model.h"

namespace trireme::launch {
namespace {

using runtime::Calibration;
using runtime::DType;

Calibration profile(const std::string& name) {
  return find_calibration(runtime::real_files(), "calibration", name);
}

TEST(CalibrationSource, ProfilesOfH100AndH200AreShipped) {
  EXPECT_EQ(profile_names(), (std::vector<std::string>{"h100", "h200"}));
  EXPECT_TRUE(is_profile("h100"));
  EXPECT_FALSE(is_profile("./h100"));
}

TEST(CalibrationSource, AnythingElseIsAFile) {
  try {
    profile("h300");
    FAIL();
  } catch (const runtime::Error& error) {
    EXPECT_EQ(error.kind(), runtime::ErrorKind::usage);
    EXPECT_EQ(std::string(error.what()).rfind("--calibration h300 does not exist; make one with ", 0), 0u)
        << error.what();
  }
}

TEST(CalibrationSource, NoPublishedCallIsFasterThanTheMachine) {
  for (const std::string& name : profile_names()) {
    const Calibration calibration = profile(name);
    EXPECT_FALSE(calibration.source.empty());
    EXPECT_EQ(calibration.bf16_flops_per_second, runtime::kHopperSheetFlops);
    EXPECT_EQ(calibration.ranks_per_node, 8);
    EXPECT_GT(calibration.within_node.bytes_per_second, calibration.between_nodes.bytes_per_second);
    for (const runtime::OpTime& time : calibration.ops) {
      SCOPED_TRACE(name + " " + time.op + " " + to_string(time.sizes));
      EXPECT_LT(static_cast<double>(time.flops) / time.seconds, calibration.bf16_flops_per_second);
      EXPECT_LT(static_cast<double>(time.bytes) / time.seconds, calibration.memory.best());
      const auto& n = time.sizes;
      if (time.op.starts_with("linear_")) {
        EXPECT_EQ(time.flops, 2 * n[0] * n[1] * n[2]);
      } else if (time.op.starts_with("attention_")) {
        const int64_t products = time.op == "attention_forward" ? 2 : 5;
        EXPECT_EQ(time.flops, products * 2 * n[0] * n[2] * n[3] * (n[1] * (n[1] + 1) / 2));
      }
    }
  }
}

TEST(CalibrationSource, ProfilesKnowTheOpsThatTakeTheTime) {
  for (const std::string& name : profile_names()) {
    std::set<std::string> known;
    for (const runtime::OpTime& time : profile(name).ops) known.insert(time.op);
    for (const char* op : {"linear_forward", "linear_backward_input", "linear_backward_weight", "attention_forward",
                           "attention_backward", "rms_norm_forward", "rms_norm_backward"}) {
      EXPECT_TRUE(known.contains(op)) << name << " " << op;
    }
  }
}

}  // namespace
}  // namespace trireme::launch
