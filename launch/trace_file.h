// A trace file: what all ranks recorded, on one clock, with who waited for whom. Rank 0 writes it, whole or not at all:
// the ranks send their events one after another, a megabyte at a time, so that only one piece of them is in memory. The
// format of an event: trace_events.h; of the file: README.md.
#pragma once

#include <string>

#include "runtime/clock_offset.h"
#include "runtime/communicator.h"
#include "runtime/files.h"
#include "runtime/trace.h"

namespace trireme::launch {

/// Throws Error(usage) naming --trace when `path` cannot be written, or holds anything but a trace: nobody's file is
/// replaced. Of one rank.
void check_trace_file(runtime::Files& files, const std::string& path);

/// What this rank recorded, between two readings of its clock.
struct RecordedTrace {
  const runtime::Trace& trace;
  runtime::ClockReading before;
  runtime::ClockReading after;
  int64_t first_step = 0;
  int64_t steps = 0;
};

/// Collective. What cannot be written (a full disk) is an error in the log, and no reason for the training to end.
void write_trace_file(runtime::Files& files, const std::string& path, runtime::Communicator& world,
                      const RecordedTrace& recorded);

}  // namespace trireme::launch
