// What a rank is at, as a line of JSON between watchdogs. Only what changed since the line before is said.
#pragma once

#include <string>
#include <string_view>

#include "runtime/flight_recorder.h"

namespace trireme::runtime {

/// One line without its end; "{}" when nothing changed. To one that has heard nothing `before` is a RankFlight().
std::string flight_line(const RankFlight& flight, const RankFlight& before);

/// Brings `flight` from what it was to what the line says. Throws Error(data) when it says something else than a rank
/// of a world of `world_size` could be at.
void read_flight_line(std::string_view line, int world_size, RankFlight& flight);

}  // namespace trireme::runtime
