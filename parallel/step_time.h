// How long a step takes: what its ranks do (action_record.h), timed by a model of the machine, and played through the
// pipeline's schedule. Pure functions; no dry runs and no measuring here.
#pragma once

#include <string_view>
#include <vector>

#include "parallel/action_record.h"
#include "parallel/mesh.h"
#include "parallel/schedule.h"
#include "parallel/schedule_timeline.h"
#include "runtime/time_model.h"

namespace trireme::parallel {

/// How the groups of an axis (tp, dp, pp, tied) lie on machines of so many ranks, numbered as mesh.h says. Throws
/// Error(internal) for another axis.
runtime::GroupSpan span_of(const Mesh& mesh, std::string_view axis, int ranks_per_node);

/// A step to be timed.
struct StepToTime {
  Mesh mesh;
  int ranks_per_node = 1;
  ScheduleSpec spec;
  std::vector<const StepRecord*> stages;  ///< of each stage of the pipeline, of any of its ranks
};

/// Seconds of a step. What is split out adds up to step_seconds.
struct StepTime {
  double step_seconds = 0;
  double compute_seconds = 0;  ///< ops of the busiest stage's actions
  double tp_seconds = 0;       ///< messages of tensor parallelism inside of these
  double bubble_seconds = 0;   ///< what else that stage does inside of the schedule: it sends, receives and waits
  double dp_seconds = 0;       ///< reductions and gathers that nothing hides, and the tied table's sum
  double update_seconds = 0;   ///< norm, clipping, AdamW, and what lies between the parts of a step
  double bubble_fraction = 0;  ///< of the schedule, over all stages
  Timeline timeline;           ///< of the schedule, seconds
};

/// The pipeline's actions take what their ops and their tp messages take, a microbatch's mean of the recorded step, and
/// one half each of the messages that they receive and send: the part which the model does not hide. Messages over dp
/// are those of the recorded step as a whole. What is begun inside of actions, and parameters that are sent out behind
/// the update, are hidden as far as hidden_part() says and there is computing; the rest stands behind the schedule.
/// Throws Error(internal) when stages, chunks and schedule do not fit each other.
StepTime time_step(const StepToTime& step, const runtime::TimeModel& model);

}  // namespace trireme::parallel
