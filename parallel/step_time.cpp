#include "parallel/step_time.h"

#include <algorithm>
#include <string>

#include "runtime/error.h"

namespace trireme::parallel {
namespace {

using runtime::Error;
using runtime::ErrorKind;
using runtime::GroupSpan;
using runtime::TimeModel;

/// What a stage takes in a step.
struct StageTimes {
  double compute_seconds = 0;  ///< of all its actions, as tp_seconds are
  double tp_seconds = 0;
  double dp_seconds = 0;  ///< that nothing hides
  double update_seconds = 0;
};

class StepTimer {
 public:
  StepTimer(const StepToTime& step, const TimeModel& model) : step_(step), model_(model) {
    for (const StepRecord* stage : step.stages) {
      if (stage->chunks.size() != static_cast<size_t>(step.spec.chunks)) refuse("chunks");
    }
    if (step.stages.size() != static_cast<size_t>(step.spec.stages) || step.spec.stages != step.mesh.pp) {
      refuse("stages");
    }
  }

  StepTime time() {
    PipelineTimes times;
    times.chunks.assign(static_cast<size_t>(step_.spec.stages * step_.spec.chunks), ChunkTimes());
    const double message = pipeline_message_seconds();
    times.message = model_.hidden_part() * message;
    std::vector<StageTimes> stages;
    for (int stage = 0; stage < step_.spec.stages; ++stage) {
      stages.push_back(time_stage(stage, message - times.message, times));
    }
    StepTime result{.timeline = simulate(step_.spec, times)};
    const auto busiest = std::ranges::max_element(
        stages, {}, [](const StageTimes& stage) { return stage.compute_seconds + stage.tp_seconds; });
    double end = 0;
    for (size_t stage = 0; stage < stages.size(); ++stage) {
      end = std::max(end, result.timeline.stages[stage].actions.back().end + stages[stage].dp_seconds);
    }
    result.compute_seconds = busiest->compute_seconds;
    result.tp_seconds = busiest->tp_seconds;
    const double busy = busiest->compute_seconds + busiest->tp_seconds;
    result.bubble_seconds = std::max(result.timeline.makespan - busy, 0.0);  // sums in another order
    result.dp_seconds = end - result.timeline.makespan;
    result.update_seconds = std::ranges::max_element(stages, {}, &StageTimes::update_seconds)->update_seconds;
    result.step_seconds = end + result.update_seconds;
    result.bubble_fraction = result.timeline.bubble_fraction();
    return result;
  }

 private:
  [[noreturn]] void refuse(const std::string& what) const {
    throw Error(ErrorKind::internal, "time_step: the records' " + what + " are not those of the schedule");
  }

  double seconds_of(const ActionRecord& record, std::string_view axis, std::string_view only_op = "") const {
    const auto ops = record.sent.find(std::string(axis));
    if (ops == record.sent.end()) return 0;
    const GroupSpan span = span_of(step_.mesh, axis, step_.ranks_per_node);
    double sum = 0;
    for (const auto& [op, sent] : ops->second) {
      if (only_op.empty() || op == only_op) sum += model_.message_seconds(op, sent, span);
    }
    return sum;
  }

  /// One way: activations and their gradients are equally long, on every stage.
  double pipeline_message_seconds() const {
    double seconds = 0;
    for (const StepRecord* stage : step_.stages) {
      const auto ops = stage->between.sent.find("pp");
      if (ops == stage->between.sent.end()) continue;
      const auto sends = ops->second.find("send");
      if (sends == ops->second.end()) continue;
      const double all = seconds_of(stage->between, "pp", "send");
      seconds = std::max(seconds, all / static_cast<double>(sends->second.calls));
    }
    return seconds;
  }

  /// The mean of an action of this kind, added to the stage's sums as often as the schedule has it.
  double time_action(const ActionRecord& record, StageTimes& stage) const {
    if (record.count == 0) return 0;
    const auto count = static_cast<double>(record.count);
    const double compute = model_.ops_seconds(record.ops) / count;
    const double tp = seconds_of(record, "tp") / count;
    stage.compute_seconds += step_.spec.microbatches * compute;
    stage.tp_seconds += step_.spec.microbatches * tp;
    return compute + tp;
  }

  StageTimes time_stage(int stage, double unhidden_message, PipelineTimes& times) const {
    const StepRecord& record = *step_.stages[static_cast<size_t>(stage)];
    StageTimes result;
    double begun_ahead = seconds_of(record.update, "dp", "all_gather");
    for (int chunk = 0; chunk < step_.spec.chunks; ++chunk) {
      const ChunkRecord& actions = record.chunks[static_cast<size_t>(chunk)];
      const int number = chunk * step_.spec.stages + stage;
      const int neighbours = (number > 0 ? 1 : 0) + (number + 1 < step_.spec.stages * step_.spec.chunks ? 1 : 0);
      const double messages = 0.5 * unhidden_message * neighbours;
      times.chunks[static_cast<size_t>(number)] = {
          .forward = time_action(actions.forward, result) + messages,
          .backward_input =
              time_action(actions.backward, result) + time_action(actions.backward_input, result) + messages,
          .backward_weight = time_action(actions.backward_weight, result)};
      for (const ActionRecord* action :
           {&actions.forward, &actions.backward, &actions.backward_input, &actions.backward_weight}) {
        begun_ahead += seconds_of(*action, "dp");
      }
    }
    const double hidden = std::min(model_.hidden_part() * begun_ahead, result.compute_seconds);
    result.dp_seconds = begun_ahead - hidden + model_.ops_seconds(record.reduction.ops);
    for (const std::string_view axis : {"tp", "dp", "tied"}) result.dp_seconds += seconds_of(record.reduction, axis);
    result.update_seconds = model_.ops_seconds(record.update.ops) + model_.ops_seconds(record.between.ops);
    for (const std::string_view axis : {"tp", "dp", "pp"}) {
      result.update_seconds += seconds_of(record.update, axis, "all_reduce");
    }
    return result;
  }

  const StepToTime& step_;
  const TimeModel& model_;
};

}  // namespace

GroupSpan span_of(const Mesh& mesh, std::string_view axis, int ranks_per_node) {
  int ranks = mesh.tp;
  int stride = 1;
  if (axis == "dp") {
    ranks = mesh.dp;
    stride = mesh.tp;
  } else if (axis == "pp" || axis == "tied") {
    ranks = mesh.pp;
    stride = mesh.tp * mesh.dp;
    if (axis == "tied" && mesh.pp > 2) {  // the first and the last stage
      ranks = 2;
      stride *= mesh.pp - 1;
    }
  } else if (axis != "tp") {
    throw Error(ErrorKind::internal, "span_of: no axis " + std::string(axis));
  }
  const int on_a_node = std::clamp(ranks_per_node / stride, 1, ranks);
  return {.ranks = ranks, .nodes = (ranks + on_a_node - 1) / on_a_node};
}

StepTime time_step(const StepToTime& step, const TimeModel& model) {
  return StepTimer(step, model).time();
}

}  // namespace trireme::parallel
