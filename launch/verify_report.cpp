#include "launch/verify_report.h"

#include <array>
#include <cmath>
#include <cstdio>

#include "launch/number_text.h"

namespace trireme::launch {
namespace {

/// Further findings that are listed behind the first.
constexpr size_t kMostListed = 5;

std::string digits(double value, const char* format) {
  std::array<char, 40> text{};
  std::snprintf(text.data(), text.size(), format, value);
  return text.data();
}

std::string size_text(double value) {
  return value == 0 ? "0" : digits(value, "%.1e");
}

std::string padded(const std::string& text, size_t width) {
  return text + std::string(text.size() < width ? width - text.size() : 1, ' ');
}

/// "4 ranks: tp 2 x dp 2 x pp 1, ZeRO 1, 1 microbatch of 4 sequences"
std::string side_text(const TrainingSettings& settings) {
  const Layout& layout = settings.layout;
  return counted(layout.mesh.world_size(), "rank") + ": " + layout_text(layout_json(layout)) + ", " +
         counted(layout.microbatches, "microbatch", "microbatches") + " of " +
         counted(layout.microbatch_size, "sequence");
}

/// "rank 3 (tp 1, dp 0, stage 1)"
std::string rank_text(const TrainingSettings& settings, int rank) {
  const parallel::Mesh& mesh = settings.layout.mesh;
  const parallel::MeshCoordinates at = parallel::coordinates(mesh, rank, mesh.world_size());
  return "rank " + std::to_string(rank) + " (tp " + std::to_string(at.tp) + ", dp " + std::to_string(at.dp) +
         ", stage " + std::to_string(at.pp) + ")";
}

std::string where_text(const Verification& verification, const Finding& finding) {
  std::string text = finding.tensor.empty() ? "" : finding.tensor + ", ";
  if (finding.step > 0) text += "step " + std::to_string(finding.step) + ", ";
  return text + rank_text(verification.layout, finding.rank);
}

/// How much of its bound a finding takes, to choose the one that a table shows; one that fails comes first.
double use(const Finding& finding) {
  if (!finding.passes()) return std::isnan(finding.difference) ? INFINITY : 1e300;
  return finding.bound > 0 ? finding.difference / finding.bound : 0;
}

std::string steps_table(const Verification& verification) {
  std::string text = "\nstep  loss          reference     gradient norm  reference\n";
  for (const VerifiedStep& step : verification.steps) {
    text += padded(digits(static_cast<double>(step.step), "%4.0f"), 6) + padded(digits(step.layout.loss, "%.9g"), 14) +
            padded(digits(step.reference.loss, "%.9g"), 14) + padded(digits(step.layout.grad_norm, "%.9g"), 15) +
            digits(step.reference.grad_norm, "%.9g") + "\n";
  }
  return text;
}

/// The worst finding of each check.
std::string checks_table(const Verification& verification) {
  std::string text = "\ncheck            difference  bound     largest in\n";
  for (const Check check : {Check::weights, Check::gradient, Check::loss, Check::grad_norm, Check::exp_avg,
                            Check::exp_avg_sq, Check::update, Check::copies}) {
    const Finding* worst = nullptr;
    for (const Finding& finding : verification.findings) {
      if (finding.check != check) continue;
      if (worst == nullptr || use(finding) > use(*worst)) worst = &finding;
    }
    if (worst == nullptr) continue;
    text += padded(name(check), 17) + padded(size_text(worst->difference), 12);
    text += worst->difference == 0 ? size_text(worst->bound)
                                   : padded(size_text(worst->bound), 10) + where_text(verification, *worst);
    text += "\n";
  }
  return text;
}

std::string failure_text(const Verification& verification, const Finding& finding) {
  if (finding.check == Check::ownership) return "ownership of " + finding.tensor + ": " + finding.flaw;
  return name(finding.check) + " of " + where_text(verification, finding) + ": difference " +
         size_text(finding.difference) + ", bound " + size_text(finding.bound);
}

std::string verdict_text(const Verification& verification) {
  if (verification.passed) {
    return "passed: " + counted(static_cast<int64_t>(verification.steps.size()), "step") +
           ", each from equal parameters and moments, as in the reference\n";
  }
  std::string text;
  size_t failures = 0;
  for (const Finding& finding : verification.findings) {
    if (finding.passes()) continue;
    failures += 1;
    if (failures == 1) text = "FAILED, first: " + failure_text(verification, finding) + "\n";
    if (failures > 1 && failures <= 1 + kMostListed)
      text += "        then: " + failure_text(verification, finding) + "\n";
  }
  if (failures > 1 + kMostListed) {
    text += "        and " + std::to_string(failures - 1 - kMostListed) + " more beyond their bounds\n";
  }
  return text;
}

}  // namespace

std::string verify_report(const Verification& verification) {
  const TrainingSettings& settings = verification.layout;
  std::string text = settings.options.model + ": " + counted(settings.config.layers, "layer") + ", " +
                     fixed_text(static_cast<double>(model::parameter_count(settings.config)) / 1e6, 2) +
                     " M parameters, " + settings.options.precision + ", " +
                     counted(settings.options.global_batch_size, "sequence") + " of " +
                     std::to_string(settings.sequence_length) + " tokens a step" +
                     (settings.options.data.empty() ? ", random tokens" : "") + "\n";
  text += "layout     " + side_text(settings) + "\n";
  text += "reference  " + side_text(verification.reference) + "\n";
  if (!verification.steps.empty()) text += steps_table(verification);
  return text + checks_table(verification) + "\n" + verdict_text(verification);
}

}  // namespace trireme::launch
