#include "checkpoint/save_steps.h"

#include <exception>
#include <utility>

#include "checkpoint/attempt.h"
#include "checkpoint/save_parts.h"

namespace trireme::checkpoint {

using runtime::Error;
using runtime::ErrorKind;

void SaveSteps::begin(SaveRequest request) {
  request_ = std::move(request);
  phase_ = Phase::preparing;
}

std::function<std::string()> SaveSteps::part(SliceBytes& bytes) {
  switch (phase_) {
    case Phase::preparing:
      return [this] { return prepare(); };
    case Phase::writing:
      if (shard_name_.empty()) return {};
      return [this, &bytes] { return write_part(files_, request_, shard_name_, bytes); };
    case Phase::committing:
      if (!is_first()) return {};
      return [this] { return commit(); };
    case Phase::abandoning:
      if (!is_first()) return {};
      return [this] { return abandon(); };
    case Phase::idle:
      break;
  }
  return {};
}

std::optional<SaveEnd> SaveSteps::meet(std::span<const std::string> outcomes) {
  const std::optional<Failure> failure = failure_of(outcomes);
  if (failure || phase_ == Phase::abandoning) return fail(failure.value_or(Failure()), outcomes.size());
  if (phase_ == Phase::preparing) {
    std::vector<int64_t> slice_counts;
    for (const std::string& outcome : outcomes) slice_counts.push_back(std::stoll(report_of(outcome)));
    shard_name_ = shard_names(slice_counts).at(static_cast<size_t>(rank_));
    phase_ = Phase::writing;
    return std::nullopt;
  }
  if (phase_ == Phase::writing) {
    reports_.clear();
    for (const std::string& outcome : outcomes) reports_.push_back(report_of(outcome));
    phase_ = Phase::committing;
    return std::nullopt;
  }
  const std::string unsettled = report_of(outcomes.front());
  if (unsettled.empty()) return end(std::nullopt, true);
  return end(Error(ErrorKind::io, "step " + std::to_string(request_.step) +
                                      " is committed, but may not survive a power loss: " + unsettled),
             true);
}

/// The first failure makes the ranks abandon the save; after that they end with it, unless this attempt was replaced
/// meanwhile: a save whose directory was swept by a newer one fails in many ways, and all ranks shall learn why.
std::optional<SaveEnd> SaveSteps::fail(const Failure& failure, size_t ranks) {
  if (phase_ != Phase::abandoning) {
    failure_ = failure;
    phase_ = Phase::abandoning;
    return std::nullopt;
  }
  const Failure& told = failure.kind == ErrorKind::peer ? failure : *failure_;
  return end(Error(told.kind, "step " + std::to_string(request_.step) + " was not saved: " + describe(told, ranks)),
             false);
}

SaveEnd SaveSteps::end(std::optional<Error> failure, bool is_committed) {
  phase_ = Phase::idle;
  return {.step = request_.step, .failure = std::move(failure), .is_committed = is_committed};
}

std::string SaveSteps::prepare() const {
  for (const TensorSlice& slice : request_.slices) check_slice(slice);
  if (is_first()) prepare_save(files_, request_);
  return std::to_string(request_.slices.size());
}

/// Returns why the commit may not be durable; empty when it is. After the commit nothing is a failure of the save.
std::string SaveSteps::commit() {
  commit_save(files_, request_, reports_);
  try {
    settle_commit(files_, request_);
  } catch (const std::exception& error) {
    return describe({.rank = rank_, .kind = ErrorKind::io, .reason = error.what()}, reports_.size());
  }
  retain_after(files_, request_, good_);
  return "";
}

std::string SaveSteps::abandon() const {
  abandon_save(files_, request_);
  check_attempt(files_, request_.checkpoints_directory, request_.attempt, request_.owner);
  return "";
}

}  // namespace trireme::checkpoint
