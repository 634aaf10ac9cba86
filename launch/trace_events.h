// A rank's part of a trace file: its events as text in Chrome's trace event format ("Trace Event Format", 2016), which
// Perfetto and chrome://tracing draw. A rank is a process there; its first row is the training thread, with steps, in
// them the parts of a step, in those ops and waits; each group has rows of its own, as many as its calls overlap. Pure,
// but for whoever takes the text; it knows neither files nor other ranks' events.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "launch/trace_calls.h"
#include "runtime/clock_offset.h"
#include "runtime/flight_recorder.h"
#include "runtime/trace.h"

namespace trireme::launch {

struct RankEvents {
  const runtime::Trace& trace;
  int rank = 0;
  std::string host;
  std::vector<runtime::GroupFlight> groups;  ///< that calls name by their ids
  std::vector<LastEntrant> last_entrants;    ///< of each of trace.calls(); rank -1 for sends and receives
  runtime::ClockMap clock;                   ///< to that of the first rank, on which
  double zero = 0;                           ///< the file's time begins
  double end = 0;                            ///< by this rank's clock: of what is still in flight
  runtime::ClockReading reading;             ///< how well the clock is known: the larger round trip of two
};

/// Calls `write` with texts of about a megabyte, of whole events, each with a comma before it.
void write_events(const RankEvents& events, const std::function<void(std::string_view)>& write);

}  // namespace trireme::launch
