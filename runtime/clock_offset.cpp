#include "runtime/clock_offset.h"

#include <limits>

#include "runtime/stopwatch.h"

namespace trireme::runtime {
namespace {

constexpr int kRounds = 30;  // the first ones find caches cold, and others a neighbour at work

View view_of_one(double& value) {
  return view_of(std::span<double>(&value, 1), {1});
}

void answer(Communicator& world, int peer) {
  double asked = 0;
  for (int round = 0; round < kRounds; ++round) {
    world.recv(view_of_one(asked), peer).wait();
    double now = monotonic_seconds();
    world.send(view_of_one(now), peer).wait();
  }
}

ClockReading ask(Communicator& world) {
  ClockReading best{.round_trip = std::numeric_limits<double>::infinity()};
  for (int round = 0; round < kRounds; ++round) {
    double first_now = 0;
    double before = monotonic_seconds();
    world.send(view_of_one(before), 0).wait();
    world.recv(view_of_one(first_now), 0).wait();
    const double after = monotonic_seconds();
    if (after - before >= best.round_trip) continue;
    const double middle = before + (after - before) / 2;
    best = {.at = middle, .offset = first_now - middle, .round_trip = after - before};
  }
  return best;
}

}  // namespace

ClockReading read_clock(Communicator& world) {
  if (world.rank() > 0) return ask(world);
  for (int peer = 1; peer < world.size(); ++peer) answer(world, peer);
  return {.at = monotonic_seconds()};
}

ClockMap::ClockMap(const ClockReading& before, const ClockReading& after) : at_(before.at), offset_(before.offset) {
  if (after.at > before.at) drift_ = (after.offset - before.offset) / (after.at - before.at);
}

}  // namespace trireme::runtime
