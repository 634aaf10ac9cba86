// What `verify` allows, and why; judges what a comparison found. Pure functions, without ranks or memory.
//
// Both sides begin every step with equal parameters and moments, so that all that may differ in a step is rounding.
//   initial weights, copies   0: functions of (seed, name, element), and copies of one value.
//   gradient                  fp32 sums in another order. A sum of n terms of like size errs by about sqrt(n) units of
//                             2^-24 of its length (Higham 2002, Accuracy and Stability of Numerical Algorithms, section
//                             4.2, with errors that are independent), n at most the tokens of the global batch, a
//                             width, or the vocabulary. Behind a gradient lie some 16 sums a layer, 8 of them of the
//                             forward pass, and 8 of head and embedding; independent errors add up as squares:
//                                 2^-24 sqrt(n) sqrt(16 L + 8).
//                             In bf16 with another tensor-parallel size than the reference's, parts of a sum are
//                             rounded too, and everything behind them is rounded otherwise: 2^-9 each, on both sides,
//                             instead of 2^-24 sqrt(n). With the same one both sides round the same numbers, and fp32's
//                             bound holds.
//                             In parts of the gradient's size, and of a floor: a gradient that cancels to nothing (of
//                             key biases, which shift all scores of a softmax alike) keeps the rounding of its terms,
//                             which are as large as others' of its unit. A hundredth of their typical size (in a model
//                             of gpt2-124m's width 1/1300 would have been enough), a tenth where bf16 rounds otherwise
//                             (1/45).
//   loss, gradient norm       a tenth of that, for the loss is a mean over tokens whose errors cancel; the same.
//   exp_avg                   twice that: (1 - beta1) times the gradient's, and the clip factor's.
//   exp_avg_sq                four times: 2 |g| |difference of g|, of the length of g^2, and the clip factor's squared.
//   update                    16 units of 2^-24: what AdamW's operations round, on both sides (tensor_difference.h).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "launch/side_comparison.h"
#include "launch/training_settings.h"

namespace trireme::launch {

enum class Check { ownership, weights, gradient, loss, grad_norm, exp_avg, exp_avg_sq, update, copies };
/// "gradient", as the report says it.
std::string name(Check check);

/// The worst of one check of one tensor in one step.
struct Finding {
  int64_t step = 0;  ///< 0: before the first
  Check check = Check::gradient;
  std::string tensor{};  ///< empty: of the whole model
  int rank = 0;          ///< who holds what differs most
  double difference = 0;
  double bound = 0;
  std::string flaw{};  ///< of ownership: what is wrong

  bool passes() const { return flaw.empty() && difference <= bound; }  // not-a-number does not
};

struct VerifyBounds {
  double loss = 0;
  double gradient = 0;  ///< also of its norm
  double floor = 0;     ///< what stands in for a gradient of nothing, in parts of its unit's typical one
  double exp_avg = 0;
  double exp_avg_sq = 0;
  double update = 0;
};

VerifyBounds verify_bounds(const TrainingSettings& asked, const TrainingSettings& reference);

/// What each rank of the layout reports of a step, beside the reference's.
struct ReportedStep {
  double loss = 0;
  double grad_norm = 0;
};

/// Adds findings, in the order in which the first of those that do not pass is likely to be the cause: gradients as
/// they are made, from the head to the embedding.
class Judge {
 public:
  Judge(const std::vector<NamedTensor>& tensors, const VerifyBounds& bounds) : tensors_(tensors), bounds_(bounds) {}

  void ownership(const std::vector<std::optional<std::string>>& flaws);
  void start(const StartComparison& comparison);
  void gradients(int64_t step, const TensorComparisons& comparisons);
  void reported(int64_t step, const ReportedStep& reference, const std::vector<ReportedStep>& ranks);
  void state(int64_t step, const StateComparison& comparison);

  const std::vector<Finding>& findings() const { return findings_; }
  bool passes() const;

 private:
  /// In parts of the reference's size, and of the floor.
  void relative(int64_t step, Check check, const TensorComparisons& comparisons, double bound);
  /// As it is.
  void absolute(int64_t step, Check check, const TensorComparisons& comparisons, double bound);

  const std::vector<NamedTensor>& tensors_;
  VerifyBounds bounds_;
  std::vector<Finding> findings_;
};

}  // namespace trireme::launch
