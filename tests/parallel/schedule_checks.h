// What must hold for every pipeline schedule, whatever the stages, chunks and microbatches.
#pragma once

#include <string>

#include "parallel/schedule_timeline.h"

namespace trireme::parallel {

/// "zb-h1, 4 stages of 1, 8 microbatches"
std::string describe(const ScheduleSpec& spec);

/// Plays the schedule with `times`, one for all chunks, and messages that take none. Looks whether each action is
/// there once, on its stage after what it needs there and through the pipeline after what it needs from its
/// neighbours; nothing stands still; microbatches in flight and makespan are as the formulas of schedule.h say; zb_h1
/// is no slower than 1f1b, for few microbatches too. Returns what is wrong, or nothing.
std::string fault_of(const ScheduleSpec& spec, const ChunkTimes& times);

}  // namespace trireme::parallel
