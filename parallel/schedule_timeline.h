// When a pipeline does what: the actions of a schedule, played under the rules of run_pipeline() with given times.
// Knows neither layers nor memory; used to plan a layout and to show that a schedule neither stands still nor waits
// longer than it must.
//   A stage does its actions one after another. One receive of each direction is posted ahead: the first at the start,
//   the next when the message before it is there and its action begins. A message starts when it is sent and its
//   receive is posted. Sends of outputs wait for nothing; a stage sends a gradient only when the one before it has
//   arrived.
// All these waits are for things that, once there, stay there: whether a schedule comes to its end does not depend on
// the times.
#pragma once

#include <vector>

#include "parallel/schedule.h"

namespace trireme::parallel {

/// Times of the actions of one chunk, in any one unit.
struct ChunkTimes {
  double forward = 1;
  double backward_input = 1;
  double backward_weight = 1;
};

struct PipelineTimes {
  std::vector<ChunkTimes> chunks{ChunkTimes{}};  ///< chunk c of stage s is number c * stages + s; or one, for all
  double message = 0;                            ///< from stage to stage
};

struct TimedAction {
  Action action;
  double start = 0;
  double end = 0;
};

struct StageTimeline {
  std::vector<TimedAction> actions;
  double busy = 0;         ///< the times of its actions
  int peak_in_flight = 0;  ///< over all chunks, else as peak_in_flight(actions, chunk)
};

struct Timeline {
  std::vector<StageTimeline> stages;
  double makespan = 0;  ///< from the start of the first action to the end of the last

  /// The part of the stages' time in which they do nothing.
  double bubble_fraction() const;
};

/// Plays make_schedule(spec, stage) of all stages.
Timeline simulate(const ScheduleSpec& spec, const PipelineTimes& times);

/// Plays `actions`, one list a stage. Throws Error(internal), with what the stages wait for, when the pipeline stands
/// still before all is done or a message meets the receive of another.
Timeline simulate(const ScheduleSpec& spec, const std::vector<std::vector<Action>>& actions,
                  const PipelineTimes& times);

}  // namespace trireme::parallel
