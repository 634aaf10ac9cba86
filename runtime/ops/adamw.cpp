#include "runtime/ops/adamw.h"

#include <cmath>

#include "runtime/error.h"
#include "runtime/ops/adamw_cpu.h"
#include "runtime/ops/adamw_cuda.h"
#include "runtime/ops/check.h"
#include "runtime/ops/update_scale_function.h"

namespace trireme::runtime {
namespace {

void check_ranges(std::string_view op, std::span<const ElementRange> ranges, int64_t n) {
  if (static_cast<int64_t>(ranges.size()) > AdamWConstants::kMostUndecayed) {
    throw Error(ErrorKind::internal, std::string(op) + ": " + std::to_string(ranges.size()) +
                                         " undecayed ranges, expected at most " +
                                         std::to_string(AdamWConstants::kMostUndecayed));
  }
  int64_t before = 0;
  for (const ElementRange& range : ranges) {
    if (range.begin < before || range.end < range.begin || range.end > n) {
      throw Error(ErrorKind::internal, std::string(op) + ": undecayed range [" + std::to_string(range.begin) + ", " +
                                           std::to_string(range.end) + "), expected ascending ranges within " +
                                           std::to_string(n));
    }
    before = range.end;
  }
}

}  // namespace

std::array<float, 3> adamw_schedule(double learning_rate, double beta1, double beta2, int64_t update) {
  // The betas as the kernels see them: what is corrected is fp32's average.
  const auto correction = [&](double beta) {
    return static_cast<float>(
        1 / (1 - std::pow(static_cast<double>(static_cast<float>(beta)), static_cast<double>(update))));
  };
  return {static_cast<float>(learning_rate), correction(beta1), correction(beta2)};
}

std::string_view name(UpdateVerdict verdict) {
  constexpr std::array<std::string_view, 4> kNames{"", "nonfinite", "outlier_loss", "outlier_grad_norm"};
  return kNames.at(static_cast<size_t>(verdict));
}

UpdateVerdict judge_update(std::span<const double> totals, const UpdateLimits& limits) {
  return verdict_of_update(totals.data(), limits.loss, limits.grad_norm);
}

void update_scale(Stream& stream, double clip_grad_norm, ConstView totals, ConstView limits, View scale) {
  constexpr std::string_view op = "update_scale";
  check_operand(op, "totals", totals, DType::fp64, {3});
  check_operand(op, "limits", limits, DType::fp32, {2});
  check_operand(op, "scale", scale, DType::fp32, {1});
  const OpScope scope =
      stream.dispatch({.op = op, .flops = 0, .bytes = totals.bytes() + limits.bytes() + scale.bytes()});
  switch (stream.device()) {
    case Device::cpu:
      cpu::update_scale(clip_grad_norm, totals, limits, scale);
      break;
    case Device::cuda:
      cuda::update_scale(stream.queue(), clip_grad_norm, totals, limits, scale);
      break;
    case Device::dry:
      break;
  }
}

void adamw_update(Stream& stream, const AdamWConstants& constants, const AdamWViews& views) {
  constexpr std::string_view op = "adamw_update";
  check_rank(op, "parameter", views.parameter, 1);
  const int64_t n = views.parameter.shape[0];
  check_operand(op, "parameter", views.parameter, DType::fp32, {n});
  check_operand(op, "gradient", views.gradient, DType::fp32, {n});
  check_operand(op, "m", views.m, DType::fp32, {n});
  check_operand(op, "v", views.v, DType::fp32, {n});
  const bool twin = !views.compute.absent();
  if (twin) check_operand(op, "compute", views.compute, DType::bf16, {n});
  check_operand(op, "schedule", views.schedule, DType::fp32, {4});
  check_ranges(op, constants.undecayed, n);

  const OpScope scope = stream.dispatch({.op = op, .flops = 17 * n, .bytes = (twin ? 34 : 32) * n});
  switch (stream.device()) {
    case Device::cpu:
      cpu::adamw_update(constants, views);
      break;
    case Device::cuda:
      cuda::adamw_update(stream.queue(), constants, views);
      break;
    case Device::dry:
      break;
  }
}

}  // namespace trireme::runtime
