#include "launch/profile_table.h"

#include <gtest/gtest.h>

#include <sstream>
#include <vector>

#include "launch/peak_table.h"

namespace trireme::launch {
namespace {

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

runtime::Calibration calibration() {
  runtime::Calibration calibration;
  calibration.fma_flops_per_second = 400e9;
  calibration.memory = {.read = 20e9, .copy = 40e9, .triad = 30e9};
  return calibration;
}

/// Two steps of a second: 0.8 s of ops, 0.1 s of messages, 0.04 s of data.
StepProfile sample() {
  StepProfile profile{
      .steps = 2, .first_step_left_out = true, .step_seconds = 2, .data_seconds = 0.08, .message_seconds = 0.2};
  for (int call = 0; call < 4; ++call) {
    profile.ops.add({.op = "linear_forward", .flops = 20'000'000'000, .bytes = 1'000'000, .sizes = {1024, 768, 2304}},
                    0.1);
  }
  for (int call = 0; call < 4; ++call) profile.ops.add({.op = "adamw", .flops = 1000, .bytes = 2'000'000'000}, 0.25);
  for (int call = 0; call < 2; ++call) profile.ops.add({.op = "read_scalars"}, 0.1);
  return profile;
}

constexpr char kPlain[] =
    R"(profile of a step, the mean of 2 steps (the first is left out), rank 0 of 2
op                        sizes              calls         ms of step            rate  of peak
adamw                                            2    500.000   50.0%        8.0 GB/s        -
linear_forward            1024x768x2304          2    200.000   20.0%   200.0 Gflop/s        -
read_scalars                                     1    100.000   10.0%               -        -
sum of ops                                            800.000   80.0%
waiting for messages                                  100.000   10.0%
data                                                   40.000    4.0%
other                                                  60.000    6.0%
step                                                 1000.000  100.0%
tokens/s 1000.0 = 1,000 tokens of all ranks / 1.0 s
of peak, mfu and hfu need --calibration FILE: trireme bench --calibrate --output FILE makes one
)";

TEST(ProfileTable, MeansPerStepByFallingTime) {
  EXPECT_EQ(profile_table(sample(), {.ranks = 2, .tokens_per_step = 1000, .flops_per_token = 1e8}), kPlain);
}

TEST(ProfileTable, CalibrationGivesPartsOfThePeak) {
  const std::string table = profile_table(
      sample(), {.ranks = 2, .tokens_per_step = 1000, .flops_per_token = 1e8, .calibration = calibration()});
  const std::vector<std::string> lines = lines_of(table);
  ASSERT_EQ(lines.size(), 15u);
  // 4 GB a step at 40 GB/s take 100 of the 500 ms; 40 Gflop at 400 Gflop/s 100 of the 200.
  EXPECT_EQ(lines[2], "adamw                                            2    500.000   50.0%        8.0 GB/s    20.0%");
  EXPECT_EQ(lines[3], "linear_forward            1024x768x2304          2    200.000   20.0%   200.0 Gflop/s    50.0%");
  EXPECT_EQ(lines[4], "read_scalars                                     1    100.000   10.0%               -        -");
  EXPECT_EQ(lines[11], "mfu 12.5% = tokens/s x 100.0 Mflop (6 N + 6 L C T) / (400.0 Gflop/s x 2 ranks)");
  EXPECT_EQ(lines[12], "hfu 10.0% = 40.00 Gflop of this rank's ops, recomputation included / step / 400.0 Gflop/s");
}

TEST(ProfileTable, TheNearerBoundDecidesAboutRateAndPart) {
  StepProfile profile{.steps = 1, .step_seconds = 1};
  // 8 flops a byte: below the 10 at which 400 Gflop/s and 40 GB/s meet.
  profile.ops.add({.op = "linear_forward", .flops = 8'000'000'000, .bytes = 1'000'000'000}, 0.1);
  const StepScale scale{.tokens_per_step = 1, .flops_per_token = 1, .calibration = calibration()};
  EXPECT_EQ(lines_of(profile_table(profile, scale))[2],
            "linear_forward                                   1    100.000   10.0%       10.0 GB/s    25.0%");
  profile.ops.add({.op = "gelu", .flops = 12'000'000'000, .bytes = 1'000'000'000}, 0.1);
  EXPECT_EQ(lines_of(profile_table(profile, scale))[3],
            "gelu                                             1    100.000   10.0%   120.0 Gflop/s    30.0%");
}

TEST(ProfileTable, LinesFitATerminalWhateverTheNumbers) {
  StepProfile profile{.steps = 1, .step_seconds = 1e5};
  profile.ops.add({.op = "an_op_with_a_name_far_longer_than_any",
                   .flops = int64_t{1} << 62,
                   .bytes = int64_t{1} << 40,
                   .sizes = {1 << 30, 1 << 30, 1 << 30, 1 << 30}},
                  1e-3);
  runtime::Calibration fast = calibration();
  fast.fma_flops_per_second = 1e15;
  for (const std::string& line : lines_of(profile_table(
           profile,
           {.ranks = 4096, .tokens_per_step = int64_t{1} << 40, .flops_per_token = 1e13, .calibration = fast}))) {
    EXPECT_LE(line.size(), 100u) << line;
  }
}

TEST(PeakTable, EveryFigureHasItsUnit) {
  runtime::Calibration peaks = calibration();
  peaks.processor = "Abacus";
  peaks.cores = 2;
  peaks.threads = 1;
  peaks.ranks = 2;
  peaks.products = {{.op = "linear_forward", .shape = {1024, 768, 50257}, .flops_per_second = 3e11}};
  peaks.messages = {{.ranks = 2, .op = "all_reduce", .bytes = 1 << 20, .seconds = 5e-4}};
  EXPECT_EQ(peak_table(peaks), R"(machine       Abacus, 2 cores
measured by   2 ranks x 1 thread at once; rates are of one rank, the best of many runs
fp32 peak     400.0 Gflop/s of multiply-adds on registers
memory        read 20.0 GB/s, copy 40.0 GB/s, triad 30.0 GB/s

product                       N   C_in  C_out           rate  of peak
linear_forward             1024    768  50257  300.0 Gflop/s    75.0%

message                   ranks         size       time           rate
all_reduce                    2       1.0 MB   500.0 us       2.1 GB/s
)");
}

}  // namespace
}  // namespace trireme::launch
