#include "runtime/flight_recorder.h"

#include "runtime/message_engine.h"
#include "runtime/stopwatch.h"

namespace trireme::runtime {

std::string_view name(Phase phase) {
  switch (phase) {
    case Phase::starting:
      return "starting";
    case Phase::loading:
      return "loading";
    case Phase::training:
      return "training";
    case Phase::validating:
      return "validating";
    case Phase::saving:
      return "saving";
    case Phase::ending:
      return "ending";
  }
  return "";
}

std::optional<Phase> phase_from_name(std::string_view text) {
  for (const Phase phase :
       {Phase::starting, Phase::loading, Phase::training, Phase::validating, Phase::saving, Phase::ending}) {
    if (name(phase) == text) return phase;
  }
  return std::nullopt;
}

int64_t entered_calls(const RankFlight& flight) {
  int64_t calls = 0;
  for (const GroupFlight& group : flight.groups) {
    calls += group.entered;
    for (const auto& [peer, sent, received] : group.messages) calls += sent + received;
  }
  return calls;
}

void FlightRecorder::add_group(const std::shared_ptr<MessageGroup>& group) {
  std::lock_guard lock(mutex_);
  std::erase_if(groups_, [](const auto& old) { return old.expired(); });
  groups_.push_back(group);
}

void FlightRecorder::wait_for(const MessageGroup& group, const CommCall& call) {
  wait_ = {
      .begin = monotonic_seconds(), .op = call.op, .group = group.id, .peer = call.peer, .position = call.position};
  std::lock_guard lock(mutex_);
  wait_group_ = &group;
  wait_call_.op = call.op;  // the names of all ops fit into a string's own memory
  wait_call_.position = call.position;
  wait_call_.elements = call.elements;
  wait_call_.dtype = call.dtype;
  wait_call_.peer = call.peer;
}

void FlightRecorder::end_wait() {
  wait_.end = monotonic_seconds();
  waited_seconds_ += wait_.end - wait_.begin;
  if (trace_ != nullptr) trace_->add_wait(wait_);
  std::lock_guard lock(mutex_);
  wait_group_ = nullptr;
}

void FlightRecorder::keep_groups() {
  std::lock_guard lock(mutex_);
  for (const auto& group : groups_) {
    if (auto living = group.lock()) kept_groups_.push_back(std::move(living));
  }
}

RankFlight FlightRecorder::flight() const {
  RankFlight flight{.phase = phase()};
  std::vector<std::shared_ptr<MessageGroup>> groups;
  {
    std::lock_guard lock(mutex_);
    for (const auto& group : groups_) {
      auto living = group.lock();
      if (living == nullptr) continue;
      if (living.get() == wait_group_) flight.waits = {.group = groups.size(), .call = wait_call_};
      groups.push_back(std::move(living));
    }
  }
  double last_entered = -1;
  for (size_t i = 0; i < groups.size(); ++i) {  // after the wait: who waits in a call has entered it
    flight.groups.push_back(groups[i]->ledger.flight());
    flight.groups.back().id = groups[i]->id;
    flight.groups.back().world_ranks = groups[i]->world_ranks;
    const std::optional<CommCall> last = groups[i]->ledger.last_call();
    if (!last || last->entered_seconds < last_entered) continue;
    last_entered = last->entered_seconds;
    flight.last = {.group = i, .call = flight_call(*last)};
    flight.last_left = last->left_seconds > 0;
  }
  flight.count = count();  // last: who has just ended a long wait has moved, and is not late
  return flight;
}

}  // namespace trireme::runtime
