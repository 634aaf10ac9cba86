#include "parallel/schedule.h"

#include <algorithm>
#include <string>

#include "runtime/error.h"

namespace trireme::parallel {

using runtime::Error;
using runtime::ErrorKind;

namespace {

void expect_positive(const char* what, int count) {
  if (count < 1)
    throw Error(ErrorKind::usage, std::string(what) + " is " + std::to_string(count) + ", expected 1 or more");
}

// The multiple of `divisor`, above 0, that is nearest to `count`; of two the larger.
int nearest_multiple(int count, int divisor) {
  return std::max(1, (2 * count + divisor) / (2 * divisor)) * divisor;
}

void check(const ScheduleSpec& spec, int stage) {
  expect_positive("--pipeline-parallel", spec.stages);
  expect_positive("--virtual-stages", spec.chunks);
  expect_positive("the number of microbatches, --global-batch-size / (data parallel x --microbatch-size),",
                  spec.microbatches);
  if (stage < 0 || stage >= spec.stages) {
    throw Error(ErrorKind::internal,
                "schedule of stage " + std::to_string(stage) + " of " + std::to_string(spec.stages));
  }
  if (spec.kind == ScheduleKind::zb_h1 && spec.chunks > 1) {
    throw Error(ErrorKind::usage, "--pipeline-schedule zb-h1 takes --virtual-stages 1, not " +
                                      std::to_string(spec.chunks) + "; 1f1b takes more");
  }
  if (spec.kind == ScheduleKind::one_f_one_b && spec.chunks > 1 && spec.microbatches % spec.stages != 0) {
    throw Error(ErrorKind::usage, "--virtual-stages " + std::to_string(spec.chunks) +
                                      " takes microbatches in multiples of --pipeline-parallel " +
                                      std::to_string(spec.stages) + ", not " + std::to_string(spec.microbatches) +
                                      ": nearest is " +
                                      std::to_string(nearest_multiple(spec.microbatches, spec.stages)) +
                                      " (--global-batch-size / (data parallel x --microbatch-size))");
  }
}

struct Passage {
  int chunk = 0;
  int microbatch = 0;
};

// All (chunk, microbatch) in the order in which they go forward; backward the chunks of a group are turned round.
std::vector<Passage> passages(const ScheduleSpec& spec, bool backward) {
  std::vector<Passage> order;
  order.reserve(static_cast<size_t>(spec.chunks) * static_cast<size_t>(spec.microbatches));
  for (int first = 0; first < spec.microbatches; first += spec.stages) {
    const int end = std::min(first + spec.stages, spec.microbatches);
    for (int turn = 0; turn < spec.chunks; ++turn) {
      const int chunk = backward ? spec.chunks - 1 - turn : turn;
      for (int microbatch = first; microbatch < end; ++microbatch) order.push_back({chunk, microbatch});
    }
  }
  return order;
}

// Forwards before the first backward, but for the one that comes directly before it.
int warm_up_forwards(const ScheduleSpec& spec, int stage) {
  const int stages_behind = spec.stages - stage - 1;
  if (spec.kind == ScheduleKind::gpipe) return spec.chunks * spec.microbatches;
  if (spec.chunks == 1) return stages_behind;
  return 2 * stages_behind + (spec.chunks - 1) * spec.stages;
}

}  // namespace

std::string_view name(ScheduleKind kind) {
  switch (kind) {
    case ScheduleKind::gpipe:
      return "gpipe";
    case ScheduleKind::one_f_one_b:
      return "1f1b";
    case ScheduleKind::zb_h1:
      return "zb-h1";
  }
  return "?";
}

std::vector<Action> make_schedule(const ScheduleSpec& spec, int stage) {
  check(spec, stage);
  const std::vector<Passage> forwards = passages(spec, false);
  const std::vector<Passage> backwards = passages(spec, true);
  const size_t count = forwards.size();
  const bool split = spec.kind == ScheduleKind::zb_h1;
  std::vector<Action> actions;
  actions.reserve((split ? 3 : 2) * count);
  const auto add = [&actions](ActionKind kind, const Passage& passage) {
    actions.push_back({kind, passage.chunk, passage.microbatch});
  };

  size_t forwards_done = std::min(count, static_cast<size_t>(warm_up_forwards(spec, stage)));
  for (size_t i = 0; i < forwards_done; ++i) add(ActionKind::forward, forwards[i]);
  const size_t weights_behind = static_cast<size_t>(stage);
  for (size_t i = 0; i < count; ++i) {
    if (forwards_done < count) add(ActionKind::forward, forwards[forwards_done++]);
    add(split ? ActionKind::backward_input : ActionKind::backward, backwards[i]);
    if (split && i >= weights_behind) add(ActionKind::backward_weight, backwards[i - weights_behind]);
  }
  if (split) {
    for (size_t i = count - std::min(count, weights_behind); i < count; ++i) {
      add(ActionKind::backward_weight, backwards[i]);
    }
  }
  return actions;
}

int peak_in_flight(const std::vector<Action>& actions, int chunk) {
  int in_flight = 0;
  int peak = 0;
  for (const Action& action : actions) {
    if (action.chunk != chunk) continue;
    if (action.kind == ActionKind::forward) peak = std::max(peak, ++in_flight);
    if (action.kind == ActionKind::backward || action.kind == ActionKind::backward_weight) --in_flight;
  }
  return peak;
}

}  // namespace trireme::parallel
