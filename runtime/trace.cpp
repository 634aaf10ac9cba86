#include "runtime/trace.h"

#include <algorithm>

#include "runtime/stopwatch.h"

namespace trireme::runtime {
namespace {

/// Reserved and written once, so that no event meets a page for the first time.
template <typename Event>
std::vector<Event> room_for(int64_t count) {
  std::vector<Event> events(static_cast<size_t>(std::max<int64_t>(count, 0)));
  events.clear();
  return events;
}

template <typename Event>
bool is_full(const std::vector<Event>& events) {
  return events.size() == events.capacity();
}

}  // namespace

int64_t TraceRoom::bytes() const {
  return ops * static_cast<int64_t>(sizeof(TracedOp)) +
         calls * static_cast<int64_t>(sizeof(TracedCall) + sizeof(TracedWait)) +
         spans * static_cast<int64_t>(sizeof(TracedSpan));
}

Trace::Trace(const TraceRoom& room)
    : ops_(room_for<TracedOp>(room.ops)),
      calls_(room_for<TracedCall>(room.calls)),
      waits_(room_for<TracedWait>(room.calls)),
      spans_(room_for<TracedSpan>(room.spans)) {}

void Trace::add_op(const OpCost& cost, double begin, double end) {
  if (!records_) return;
  if (is_full(ops_)) {
    ++left_out_;
    return;
  }
  ops_.push_back({.begin = begin, .end = end, .cost = cost});
}

int64_t Trace::enter(const CommCall& call, int group, int64_t sent_bytes) {
  if (!records_) return kNone;
  if (is_full(calls_)) {
    ++left_out_;
    return kNone;
  }
  calls_.push_back({.entered = monotonic_seconds(),
                    .op = call.op,
                    .dtype = call.dtype,
                    .group = group,
                    .peer = call.peer,
                    .position = call.position,
                    .elements = call.elements,
                    .sent_bytes = sent_bytes});
  return static_cast<int64_t>(calls_.size()) - 1;
}

void Trace::leave(int64_t place) {
  if (place == kNone || place >= static_cast<int64_t>(calls_.size())) return;  // begun before this trace was
  calls_[static_cast<size_t>(place)].left = monotonic_seconds();
}

void Trace::add_wait(const TracedWait& wait) {
  if (!records_) return;
  if (is_full(waits_)) {
    ++left_out_;
    return;
  }
  waits_.push_back(wait);
}

int64_t Trace::begin_span(std::string_view name, int64_t number, int chunk) {
  if (is_full(spans_)) {
    ++left_out_;
    return kNone;
  }
  spans_.push_back({.begin = monotonic_seconds(), .name = name, .number = number, .chunk = chunk});
  return static_cast<int64_t>(spans_.size()) - 1;
}

void Trace::end_span(int64_t place) {
  if (place != kNone) spans_[static_cast<size_t>(place)].end = monotonic_seconds();
}

}  // namespace trireme::runtime
