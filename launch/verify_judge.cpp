#include "launch/verify_judge.h"

#include <algorithm>
#include <cmath>

namespace trireme::launch {
namespace {

constexpr double kUnitOfFp32 = 0x1p-24;
constexpr double kUnitOfBf16 = 0x1p-9;

/// Not-a-number is worse than anything.
bool is_worse(double difference, double than) {
  return !std::isnan(than) && !(difference <= than);
}

/// For each tensor so large a part of its unit's typical size, at the tensor's number of elements.
std::vector<Extent> floors(const std::vector<NamedTensor>& tensors, const TensorComparisons& comparisons, double part) {
  std::vector<Extent> units(tensors.back().unit + 1);
  std::vector<double> elements(units.size(), 0);
  for (size_t i = 0; i < tensors.size(); ++i) {
    units[tensors[i].unit].add(comparisons[i].size);
    elements[tensors[i].unit] += static_cast<double>(tensors[i].elements());
  }
  std::vector<Extent> all;
  for (const NamedTensor& tensor : tensors) {
    const double share = static_cast<double>(tensor.elements()) / elements[tensor.unit];
    all.push_back(
        {.squares = part * part * units[tensor.unit].squares * share, .largest = part * units[tensor.unit].largest});
  }
  return all;
}

}  // namespace

std::string name(Check check) {
  switch (check) {
    case Check::ownership:
      return "ownership";
    case Check::weights:
      return "initial weights";
    case Check::gradient:
      return "gradient";
    case Check::loss:
      return "loss";
    case Check::grad_norm:
      return "gradient norm";
    case Check::exp_avg:
      return "exp_avg";
    case Check::exp_avg_sq:
      return "exp_avg_sq";
    case Check::update:
      return "update";
    case Check::copies:
      return "copies";
  }
  return "";
}

VerifyBounds verify_bounds(const TrainingSettings& asked, const TrainingSettings& reference) {
  const model::ModelConfig& config = asked.config;
  const int64_t longest = std::max({asked.tokens_per_step(), config.width, config.heads * config.head_width,
                                    config.feed_forward_width, config.vocabulary_size});
  const bool rounds_otherwise =
      asked.execution.storage == runtime::DType::bf16 && asked.layout.mesh.tp != reference.layout.mesh.tp;
  const double of_a_sum = rounds_otherwise ? 2 * kUnitOfBf16 : kUnitOfFp32 * std::sqrt(static_cast<double>(longest));
  const double gradient = of_a_sum * std::sqrt(static_cast<double>(16 * config.layers + 8));
  return {.loss = gradient / 10,
          .gradient = gradient,
          .floor = rounds_otherwise ? 0.1 : 0.01,
          .exp_avg = 2 * gradient,
          .exp_avg_sq = 4 * gradient,
          .update = 16 * kUnitOfFp32};
}

void Judge::ownership(const std::vector<std::optional<std::string>>& flaws) {
  for (size_t tensor = 0; tensor < flaws.size(); ++tensor) {
    findings_.push_back(
        {.check = Check::ownership, .tensor = tensors_[tensor].name, .flaw = flaws[tensor].value_or("")});
  }
}

void Judge::start(const StartComparison& comparison) {
  absolute(0, Check::weights, comparison.weights, 0);
  absolute(0, Check::copies, comparison.copies, 0);
}

void Judge::gradients(int64_t step, const TensorComparisons& comparisons) {
  const auto begin = static_cast<std::ptrdiff_t>(findings_.size());
  relative(step, Check::gradient, comparisons, bounds_.gradient);
  std::reverse(findings_.begin() + begin, findings_.end());
}

void Judge::reported(int64_t step, const ReportedStep& reference, const std::vector<ReportedStep>& ranks) {
  const auto compare = [&](Check check, double ReportedStep::*number, double bound) {
    Finding finding{.step = step, .check = check, .difference = -1, .bound = bound};
    for (size_t rank = 0; rank < ranks.size(); ++rank) {
      const double difference = std::abs(ranks[rank].*number - reference.*number) / std::abs(reference.*number);
      if (!is_worse(difference, finding.difference)) continue;
      finding.difference = difference;
      finding.rank = static_cast<int>(rank);
    }
    findings_.push_back(finding);
  };
  compare(Check::loss, &ReportedStep::loss, bounds_.loss);
  compare(Check::grad_norm, &ReportedStep::grad_norm, bounds_.gradient);
}

void Judge::state(int64_t step, const StateComparison& comparison) {
  relative(step, Check::exp_avg, comparison.exp_avg, bounds_.exp_avg);
  relative(step, Check::exp_avg_sq, comparison.exp_avg_sq, bounds_.exp_avg_sq);
  absolute(step, Check::update, comparison.update, bounds_.update);
  absolute(step, Check::copies, comparison.copies, 0);
}

bool Judge::passes() const {
  return std::ranges::all_of(findings_, &Finding::passes);
}

void Judge::relative(int64_t step, Check check, const TensorComparisons& comparisons, double bound) {
  const std::vector<Extent> all_floors = floors(tensors_, comparisons, bounds_.floor);
  for (size_t tensor = 0; tensor < comparisons.size(); ++tensor) {
    const TensorComparison& comparison = comparisons[tensor];
    Finding finding{.step = step, .check = check, .tensor = tensors_[tensor].name, .difference = -1, .bound = bound};
    for (size_t rank = 0; rank < comparison.ranks.size(); ++rank) {
      const double difference = relative_difference(comparison.ranks[rank], comparison.size, all_floors[tensor]);
      if (!is_worse(difference, finding.difference)) continue;
      finding.difference = difference;
      finding.rank = static_cast<int>(rank);
    }
    findings_.push_back(std::move(finding));
  }
}

void Judge::absolute(int64_t step, Check check, const TensorComparisons& comparisons, double bound) {
  for (size_t tensor = 0; tensor < comparisons.size(); ++tensor) {
    Finding finding{.step = step, .check = check, .tensor = tensors_[tensor].name, .difference = -1, .bound = bound};
    const std::vector<Extent>& ranks = comparisons[tensor].ranks;
    for (size_t rank = 0; rank < ranks.size(); ++rank) {
      if (!is_worse(ranks[rank].largest, finding.difference)) continue;
      finding.difference = ranks[rank].largest;
      finding.rank = static_cast<int>(rank);
    }
    findings_.push_back(std::move(finding));
  }
}

}  // namespace trireme::launch
