#include "launch/step_trace.h"

#include <algorithm>
#include <span>

#include "launch/number_text.h"
#include "launch/trace_file.h"
#include "runtime/flight_recorder.h"
#include "runtime/log.h"

namespace trireme::launch {
namespace {

using runtime::Trace;
using runtime::TraceRoom;

std::string_view name_of(model::StepPart::Kind kind) {
  switch (kind) {
    case model::StepPart::Kind::forward:
      return "forward";
    case model::StepPart::Kind::backward:
      return "backward";
    case model::StepPart::Kind::backward_input:
      return "backward_input";
    case model::StepPart::Kind::backward_weight:
      return "backward_weight";
    case model::StepPart::Kind::reduction:
      return "reduction";
    case model::StepPart::Kind::update:
      return "update";
  }
  return "";
}

/// Equal parts of each kind where they are too many together.
TraceRoom within(int64_t most_bytes, const TraceRoom& room) {
  if (room.bytes() <= most_bytes) return room;
  const double part = static_cast<double>(most_bytes) / static_cast<double>(room.bytes());
  const auto part_of = [&](int64_t count) { return static_cast<int64_t>(part * static_cast<double>(count)); };
  return {.ops = part_of(room.ops), .calls = part_of(room.calls), .spans = part_of(room.spans)};
}

/// Collective.
int64_t most_of_ranks(runtime::Communicator& world, int64_t value) {
  world.all_reduce(runtime::view_of(std::span<int64_t>(&value, 1), {1}), runtime::ReduceOp::max).wait();
  return value;
}

}  // namespace

StepTrace::StepTrace(const StepTraceOptions& options, runtime::Files& files, runtime::Communicator& world,
                     model::Trainer& trainer)
    : options_(options), files_(files), world_(world), trainer_(trainer) {}

StepTrace::~StepTrace() {
  hook(nullptr);
}

void StepTrace::hook(Trace* trace) {
  trainer_.observer = trace == nullptr ? nullptr : this;
  trainer_.stream.trace_into(trace);
  if (world_.recorder() != nullptr) world_.recorder()->trace_into(trace);
}

StepTrace::EventCounts StepTrace::counts() const {
  EventCounts counts{.ops = trainer_.stream.costs().sum().calls, .calls = 0};
  if (world_.recorder() == nullptr) return counts;
  counts.calls = runtime::entered_calls(world_.recorder()->flight());
  return counts;
}

/// What steps alike have, and some more for what a rank does between them: calls of the log, spans of saves.
TraceRoom StepTrace::room_of(int64_t steps) const {
  constexpr int64_t kSlack = 64;
  constexpr int64_t kSlackOfStep = 8;
  const auto actions = static_cast<int64_t>(trainer_.pipeline.actions.size());
  return {.ops = steps * of_a_step_.ops + kSlack,
          .calls = steps * (of_a_step_.calls + kSlackOfStep) + kSlack,
          .spans = steps * (actions + kSlackOfStep) + kSlack};
}

/// The ranks record equally many steps: those for which the one with most events has room, or a part of one.
void StepTrace::start(int64_t step) {
  const int64_t bytes_of_step = room_of(1).bytes() - room_of(0).bytes();
  const int64_t own_steps = std::max<int64_t>((options_.most_bytes - room_of(0).bytes()) / bytes_of_step, 0);
  const int64_t fitting = -most_of_ranks(world_, -own_steps);
  if (fitting < options_.steps && world_.rank() == 0) {
    const std::string what = fitting > 0 ? "events of " + counted(fitting, "step") + " fit" : "a part of one step fits";
    runtime::log_warning("--trace-steps " + std::to_string(options_.steps) + ": " + what + " into the " +
                         bytes_text(options_.most_bytes) + " that a rank takes for events");
  }
  steps_ = std::clamp<int64_t>(fitting, 1, options_.steps);
  const TraceRoom room = within(options_.most_bytes, room_of(steps_));
  clock_before_ = runtime::read_clock(world_);
  first_step_ = step;
  hook(&trace_.emplace(room));
}

void StepTrace::begin_step(int64_t step) {
  if (is_over_) return;
  if (trace_ && recorded_ == steps_) finish();
  if (is_over_) return;
  if (!trace_ && skipped_ == options_.skip) start(step);
  if (!trace_) {
    before_ = counts();
    return;
  }
  trace_->record(true);
  step_span_ = trace_->begin_span("step", step);
}

void StepTrace::end_step() {
  if (is_over_) return;
  if (!trace_) {
    const EventCounts now = counts();
    of_a_step_ = {.ops = now.ops - before_.ops, .calls = now.calls - before_.calls};
    ++skipped_;
    return;
  }
  trace_->end_span(step_span_);
  trace_->record(false);
  ++recorded_;
}

void StepTrace::finish() {
  if (is_over_) return;
  is_over_ = true;
  if (!trace_) {
    if (world_.rank() == 0) {
      runtime::log_warning("--trace " + options_.file +
                           ": nothing was recorded, since this start made no more than the " +
                           counted(options_.skip, "step") + " that --trace-skip leaves out");
    }
    return;
  }
  const runtime::PhaseScope phase(world_.recorder(), runtime::Phase::saving);
  const runtime::ClockReading after = runtime::read_clock(world_);
  hook(nullptr);  // after messages that may have ended calls of the last step
  const int64_t left_out = most_of_ranks(world_, trace_->left_out());
  if (left_out > 0 && world_.rank() == 0) {
    runtime::log_warning("--trace " + options_.file + ": up to " + counted(left_out, "event") +
                         " of a rank found no room and are left out");
  }
  write_trace_file(
      files_, options_.file, world_,
      {.trace = *trace_, .before = clock_before_, .after = after, .first_step = first_step_, .steps = recorded_});
  trace_.reset();
}

void StepTrace::begin(const model::StepPart& part) {
  part_span_ = trace_->begin_span(name_of(part.kind), part.microbatch, part.chunk);
}

void StepTrace::end(const model::StepPart&) {
  trace_->end_span(part_span_);
}

}  // namespace trireme::launch
