#include "runtime/message_times.h"

#include <algorithm>
#include <limits>
#include <string_view>

#include "runtime/arena.h"
#include "runtime/stopwatch.h"

namespace trireme::runtime {
namespace {

constexpr int kRepetitions = 5;

/// Of one repetition: some 16 MB, so that latency is a mean over many calls and no size takes long. The same on every
/// rank, whatever the clocks say.
int64_t calls_of(int64_t bytes) {
  return std::clamp<int64_t>((int64_t{1} << 24) / bytes, 1, 200);
}

/// Seconds of a call; all ranks begin together.
template <typename Call>
double shortest_mean(Communicator& world, int64_t calls, Call&& call) {
  double shortest = std::numeric_limits<double>::infinity();
  call();  // the first call of a size makes plans and touches memory
  for (int repetition = 0; repetition < kRepetitions; ++repetition) {
    world.barrier().wait();
    const Stopwatch watch;
    for (int64_t i = 0; i < calls; ++i) call();
    shortest = std::min(shortest, watch.seconds() / static_cast<double>(calls));
  }
  return shortest;
}

/// A collective call over `whole`, of which each rank has an equal part.
void call_collective(Communicator& world, std::string_view op, const View& whole) {
  const int64_t part_elements = whole.elements() / world.size();
  const View part = whole.rows(world.rank() * part_elements, part_elements);
  if (op == "all_reduce") world.all_reduce(whole, ReduceOp::sum).wait();
  if (op == "reduce_scatter") world.reduce_scatter(whole, part, ReduceOp::sum).wait();
  if (op == "all_gather") world.all_gather(part, whole).wait();
}

}  // namespace

std::vector<MessageTime> measure_messages(Communicator& world, std::span<const int64_t> sizes_bytes) {
  std::vector<MessageTime> times;
  if (world.size() == 1 || sizes_bytes.empty()) return times;
  const int64_t ranks = world.size();
  const int64_t smallest_bytes = ranks * size_bytes(DType::fp32);
  Arena arena =
      Arena::host("messages", std::max(std::ranges::max(sizes_bytes), smallest_bytes) + Arena::kAlignmentBytes);
  const auto buffer = [&](int64_t bytes) {
    arena.reset();
    return arena.allocate(DType::fp32, {std::max(bytes, smallest_bytes) / smallest_bytes * ranks});
  };
  for (const std::string_view op : {"all_reduce", "reduce_scatter", "all_gather"}) {
    for (const int64_t bytes : sizes_bytes) {
      const View view = buffer(bytes);
      const double seconds = shortest_mean(world, calls_of(bytes), [&] { call_collective(world, op, view); });
      times.push_back({.ranks = ranks, .op = std::string(op), .bytes = view.bytes(), .seconds = seconds});
    }
  }
  const int last = world.size() - 1;
  for (const int64_t bytes : sizes_bytes) {
    const View view = buffer(bytes);
    const double there_and_back = shortest_mean(world, calls_of(bytes), [&] {
      if (world.rank() == 0) {
        world.send(view, last).wait();
        world.recv(view, last).wait();
      } else if (world.rank() == last) {
        world.recv(view, 0).wait();
        world.send(view, 0).wait();
      }
    });
    times.push_back({.ranks = 2, .op = "send_recv", .bytes = view.bytes(), .seconds = there_and_back / 2});
  }
  return times;
}

}  // namespace trireme::runtime
