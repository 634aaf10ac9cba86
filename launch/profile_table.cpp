#include "launch/profile_table.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <vector>

#include "launch/number_text.h"
#include "model/config.h"

namespace trireme::launch {
namespace {

using Row = runtime::OpProfile::Row;

/// The time that a row would take if its nearer bound were reached.
struct Roofline {
  double flops_seconds = 0;
  double bytes_seconds = 0;
  bool computes() const { return flops_seconds >= bytes_seconds; }
  double seconds() const { return std::max(flops_seconds, bytes_seconds); }
};

Roofline roofline(const Row& row, const runtime::Calibration& calibration) {
  return {.flops_seconds = static_cast<double>(row.flops) / calibration.fma_flops_per_second,
          .bytes_seconds = static_cast<double>(row.bytes) / calibration.memory.best()};
}

bool is_product(const Row& row) {
  return row.op.starts_with("linear_") || row.op.find("attention") != std::string::npos;
}

std::string percent(double part) {
  return fixed_text(100 * part, 1) + "%";
}

/// Cells that are too long would push the others out of their columns.
std::string line(const std::array<std::string, 7>& cells) {
  constexpr std::array<int, 7> kWidths{-26, -17, 7, 11, 8, 16, 9};
  std::string text;
  for (size_t i = 0; i < cells.size(); ++i) {
    std::array<char, 64> cell{};
    const int width = kWidths[i];
    const int most = std::abs(width) - (width > 0 ? 1 : 0);
    std::snprintf(cell.data(), cell.size(), "%*.*s", width, most, cells[i].c_str());
    text += cell.data();
  }
  text.erase(text.find_last_not_of(' ') + 1);
  return text + "\n";
}

std::string op_line(const Row& row, const StepProfile& profile, const StepScale& scale) {
  const auto steps = static_cast<double>(profile.steps);
  bool computes = is_product(row);
  std::string of_peak = "-";
  if (scale.calibration) {
    const Roofline bound = roofline(row, *scale.calibration);
    computes = bound.computes();
    if (bound.seconds() > 0) of_peak = percent(bound.seconds() / row.seconds);
  }
  const int64_t amount = computes ? row.flops : row.bytes;
  const std::string rate =
      amount == 0 ? "-" : rate_text(static_cast<double>(amount) / row.seconds, computes ? "flop" : "B");
  return line({row.op, sizes_text(row.sizes.sizes()), fixed_text(static_cast<double>(row.calls) / steps, 0),
               fixed_text(1e3 * row.seconds / steps, 3), percent(row.seconds / profile.step_seconds), rate, of_peak});
}

std::string sum_line(const std::string& name, double seconds, const StepProfile& profile) {
  return line({name, "", "", fixed_text(1e3 * seconds / static_cast<double>(profile.steps), 3),
               percent(seconds / profile.step_seconds), "", ""});
}

std::string utilisation_lines(const StepProfile& profile, const StepScale& scale, double tokens_per_second) {
  if (!scale.calibration) {
    return "of peak, mfu and hfu need --calibration FILE: trireme bench --calibrate --output FILE makes one\n";
  }
  double flops = 0;
  for (const Row& row : profile.ops.rows()) flops += static_cast<double>(row.flops);
  const double peak = scale.calibration->fma_flops_per_second;
  const std::string peak_text = rate_text(peak, "flop");
  return "mfu " + percent(model::model_utilisation(tokens_per_second, scale.flops_per_token, peak, scale.ranks)) +
         " = " + mfu_formula(scale.flops_per_token, peak, scale.ranks) + "\nhfu " +
         percent(flops / profile.step_seconds / peak) + " = " +
         fixed_text(flops / 1e9 / static_cast<double>(profile.steps), 2) +
         " Gflop of this rank's ops, recomputation included / step / " + peak_text + "\n" + "of peak: max(flops / " +
         peak_text + ", bytes / " + rate_text(scale.calibration->memory.best(), "B") +
         ") / time; above 100% where\ncaches spare the memory\n";
}

}  // namespace

std::string mfu_formula(double flops_per_token, double peak_flops_per_second, int64_t ranks) {
  return "tokens/s x " + fixed_text(flops_per_token / 1e6, 1) + " Mflop (6 N + 6 L C T) / (" +
         rate_text(peak_flops_per_second, "flop") + " x " + counted(ranks, "rank") + ")";
}

std::string profile_table(const StepProfile& profile, const StepScale& scale) {
  std::vector<Row> rows = profile.ops.rows();
  std::ranges::stable_sort(rows, std::ranges::greater(), &Row::seconds);
  std::string text = "profile of a step, the mean of " + counted(profile.steps, "step") +
                     (profile.first_step_left_out ? " (the first is left out)" : "") +
                     (scale.ranks > 1 ? ", rank 0 of " + std::to_string(scale.ranks) : "") + "\n" +
                     line({"op", "sizes", "calls", "ms", "of step", "rate", "of peak"});
  double ops_seconds = 0;
  for (const Row& row : rows) {
    text += op_line(row, profile, scale);
    ops_seconds += row.seconds;
  }
  const double other_seconds = profile.step_seconds - ops_seconds - profile.message_seconds - profile.data_seconds;
  text += sum_line("sum of ops", ops_seconds, profile);
  text += sum_line("waiting for messages", profile.message_seconds, profile);
  text += sum_line("data", profile.data_seconds, profile);
  text += sum_line("other", other_seconds, profile);
  text += sum_line("step", profile.step_seconds, profile);
  const double step_seconds = profile.step_seconds / static_cast<double>(profile.steps);
  const double tokens_per_second = static_cast<double>(scale.tokens_per_step) / step_seconds;
  return text + "tokens/s " + fixed_text(tokens_per_second, 1) + " = " + grouped(scale.tokens_per_step) +
         " tokens of all ranks / " + time_text(step_seconds) + "\n" +
         utilisation_lines(profile, scale, tokens_per_second);
}

}  // namespace trireme::launch
