#include "parallel/schedule_timeline.h"

#include <algorithm>
#include <string>

#include "runtime/error.h"

namespace trireme::parallel {

using runtime::Error;
using runtime::ErrorKind;

namespace {

// What a message is for: the forward or backward of a microbatch in a chunk of the receiver.
struct Message {
  int chunk = 0;
  int microbatch = 0;
  bool operator==(const Message&) const = default;
};

// The messages of one direction from one stage to the next, in order.
struct Channel {
  std::vector<Message> expected;  // the receiver's order
  std::vector<double> posted_at;  // of receives
  std::vector<double> sent_at;
  size_t received = 0;

  double arrival(size_t i, double message_time) const { return std::max(sent_at[i], posted_at[i]) + message_time; }
};

struct StageState {
  size_t next = 0;        // action
  bool computed = false;  // the next action, but its result has not been sent
  double free_at = 0;
};

class Simulation {
 public:
  Simulation(const ScheduleSpec& spec, const std::vector<std::vector<Action>>& actions, const PipelineTimes& times)
      : spec_(spec),
        actions_(actions),
        times_(times),
        states_(actions.size()),
        forward_(actions.size()),
        backward_(actions.size()) {
    const size_t chunk_count = static_cast<size_t>(spec.stages) * static_cast<size_t>(spec.chunks);
    if (actions.size() != static_cast<size_t>(spec.stages) ||
        (times.chunks.size() != 1 && times.chunks.size() != chunk_count)) {
      throw Error(ErrorKind::internal, "simulate: " + std::to_string(actions.size()) +
                                           " lists of actions and times of " + std::to_string(times.chunks.size()) +
                                           " chunks for " + std::to_string(spec.stages) + " stages of " +
                                           std::to_string(spec.chunks));
    }
    timeline_.stages.resize(actions.size());
    for (size_t stage = 0; stage < actions.size(); ++stage) {
      timeline_.stages[stage].actions.reserve(actions[stage].size());
      for (const Action& action : actions[stage]) {
        Channel* from = incoming(stage, action);
        if (from != nullptr) from->expected.push_back({action.chunk, action.microbatch});
      }
    }
    for (std::vector<Channel>* channels : {&forward_, &backward_}) {
      for (Channel& channel : *channels) {
        if (!channel.expected.empty()) channel.posted_at.push_back(0);
      }
    }
  }

  Timeline run() {
    for (bool progress = true; progress;) {
      progress = false;
      for (size_t stage = 0; stage < actions_.size(); ++stage) progress = advance(stage) || progress;
    }
    for (size_t stage = 0; stage < actions_.size(); ++stage) {
      if (states_[stage].next < actions_[stage].size()) throw Error(ErrorKind::internal, standstill());
      summarize(timeline_.stages[stage]);
    }
    return std::move(timeline_);
  }

 private:
  static bool goes_forward(const Action& action) { return action.kind == ActionKind::forward; }

  bool is_first(size_t stage, int chunk) const { return stage == 0 && chunk == 0; }
  bool is_last(size_t stage, int chunk) const { return stage + 1 == actions_.size() && chunk + 1 == spec_.chunks; }
  size_t stage_after(size_t stage) const { return (stage + 1) % actions_.size(); }
  size_t stage_before(size_t stage) const { return (stage + actions_.size() - 1) % actions_.size(); }

  // Where the input of an action comes from; null when it needs none.
  Channel* incoming(size_t stage, const Action& action) {
    if (action.kind == ActionKind::backward_weight) return nullptr;
    if (goes_forward(action)) return is_first(stage, action.chunk) ? nullptr : &forward_[stage_before(stage)];
    return is_last(stage, action.chunk) ? nullptr : &backward_[stage_after(stage)];
  }

  Channel* outgoing(size_t stage, const Action& action) {
    if (action.kind == ActionKind::backward_weight) return nullptr;
    if (goes_forward(action)) return is_last(stage, action.chunk) ? nullptr : &forward_[stage];
    return is_first(stage, action.chunk) ? nullptr : &backward_[stage];
  }

  // For whom the result of an action is.
  Message message_of(size_t stage, const Action& action) const {
    int chunk = action.chunk;
    if (goes_forward(action) && stage + 1 == actions_.size()) ++chunk;
    if (!goes_forward(action) && stage == 0) --chunk;
    return {chunk, action.microbatch};
  }

  double duration(size_t stage, const Action& action) const {
    const size_t number = static_cast<size_t>(action.chunk) * actions_.size() + stage;
    const ChunkTimes& chunk = times_.chunks.size() == 1 ? times_.chunks.front() : times_.chunks[number];
    switch (action.kind) {
      case ActionKind::forward:
        return chunk.forward;
      case ActionKind::backward:
        return chunk.backward_input + chunk.backward_weight;
      case ActionKind::backward_input:
        return chunk.backward_input;
      case ActionKind::backward_weight:
        return chunk.backward_weight;
    }
    return 0;
  }

  // Goes on with one stage as far as the others allow; whether there was anything to do.
  bool advance(size_t stage) {
    StageState& state = states_[stage];
    bool progress = false;
    while (state.next < actions_[stage].size()) {
      if (!state.computed) {
        if (!compute(stage)) break;
        progress = true;
      }
      if (!send_result(stage)) break;
      progress = true;
      state.computed = false;
      ++state.next;
    }
    return progress;
  }

  // Does the next action when its input has arrived.
  bool compute(size_t stage) {
    StageState& state = states_[stage];
    const Action& action = actions_[stage][state.next];
    double start = state.free_at;
    if (Channel* from = incoming(stage, action)) {
      if (from->received == from->sent_at.size()) return false;
      start = std::max(start, from->arrival(from->received, times_.message));
      if (++from->received < from->expected.size()) from->posted_at.push_back(start);
    }
    state.free_at = start + duration(stage, action);
    state.computed = true;
    timeline_.stages[stage].actions.push_back({action, start, state.free_at});
    return true;
  }

  // Sends the result of the action that has been done, if it has one; false while it must wait.
  bool send_result(size_t stage) {
    StageState& state = states_[stage];
    const Action& action = actions_[stage][state.next];
    Channel* to = outgoing(stage, action);
    if (to == nullptr) return true;
    const size_t number = to->sent_at.size();
    if (number >= to->expected.size() || !(to->expected[number] == message_of(stage, action))) {
      throw Error(ErrorKind::internal, "pipeline schedule: stage " + std::to_string(stage) + " sends microbatch " +
                                           std::to_string(action.microbatch) + " of its chunk " +
                                           std::to_string(action.chunk) + " where another is received");
    }
    if (!goes_forward(action) && number > 0) {
      if (to->posted_at.size() < number) return false;
      state.free_at = std::max(state.free_at, to->arrival(number - 1, times_.message));
    }
    to->sent_at.push_back(state.free_at);
    return true;
  }

  std::string standstill() const {
    std::string text = "pipeline schedule stands still:";
    for (size_t stage = 0; stage < actions_.size(); ++stage) {
      const StageState& state = states_[stage];
      if (state.next == actions_[stage].size()) continue;
      const Action& action = actions_[stage][state.next];
      text += " stage " + std::to_string(stage) + (state.computed ? " cannot send from " : " cannot start ") +
              (goes_forward(action) ? "forward" : "backward") + " of microbatch " + std::to_string(action.microbatch) +
              " in chunk " + std::to_string(action.chunk) + ";";
    }
    text.back() = '.';
    return text;
  }

  void summarize(StageTimeline& stage) {
    int in_flight = 0;
    for (const TimedAction& timed : stage.actions) {
      stage.busy += timed.end - timed.start;
      if (goes_forward(timed.action)) stage.peak_in_flight = std::max(stage.peak_in_flight, ++in_flight);
      if (timed.action.kind == ActionKind::backward || timed.action.kind == ActionKind::backward_weight) --in_flight;
    }
    if (!stage.actions.empty()) timeline_.makespan = std::max(timeline_.makespan, stage.actions.back().end);
  }

  const ScheduleSpec& spec_;
  const std::vector<std::vector<Action>>& actions_;
  const PipelineTimes& times_;
  std::vector<StageState> states_;
  std::vector<Channel> forward_;   // from each stage to the one after it
  std::vector<Channel> backward_;  // from each stage to the one before it
  Timeline timeline_;
};

}  // namespace

double Timeline::bubble_fraction() const {
  double busy = 0;
  for (const StageTimeline& stage : stages) busy += stage.busy;
  return makespan > 0 ? 1 - busy / (static_cast<double>(stages.size()) * makespan) : 0;
}

Timeline simulate(const ScheduleSpec& spec, const PipelineTimes& times) {
  std::vector<std::vector<Action>> actions;
  for (int stage = 0; stage < spec.stages; ++stage) actions.push_back(make_schedule(spec, stage));
  return simulate(spec, actions, times);
}

Timeline simulate(const ScheduleSpec& spec, const std::vector<std::vector<Action>>& actions,
                  const PipelineTimes& times) {
  return Simulation(spec, actions, times).run();
}

}  // namespace trireme::parallel
