#include "tests/parallel/schedule_checks.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "runtime/error.h"

namespace trireme::parallel {
namespace {

// Start and end of each action of one kind; start is below 0 where there is none.
struct Times {
  double start = -1;
  double end = -1;
};

// All actions of a timeline by (chunk of the whole pipeline, microbatch). A backward in one stands as both its parts.
class ActionTable {
 public:
  explicit ActionTable(const ScheduleSpec& spec)
      : spec_(spec),
        forward_(size_t(spec.stages) * size_t(spec.chunks) * size_t(spec.microbatches)),
        input_(forward_.size()),
        weight_(forward_.size()) {}

  std::string fill(const Timeline& timeline) {
    const bool split = spec_.kind == ScheduleKind::zb_h1;
    for (size_t stage = 0; stage < timeline.stages.size(); ++stage) {
      double free_at = 0;
      for (const TimedAction& timed : timeline.stages[stage].actions) {
        if (timed.start < free_at) return "two actions at a time";
        free_at = timed.end;
        const Action& action = timed.action;
        if (action.chunk < 0 || action.chunk >= spec_.chunks || action.microbatch < 0 ||
            action.microbatch >= spec_.microbatches) {
          return "an action of no chunk or microbatch";
        }
        const size_t i = index(size_t(action.chunk) * timeline.stages.size() + stage, size_t(action.microbatch));
        const Times times{timed.start, timed.end};
        if (action.kind == ActionKind::forward && !put(forward_[i], times)) return "two forwards";
        if (action.kind == ActionKind::backward_input && !put(input_[i], times)) return "two backward_inputs";
        if (action.kind == ActionKind::backward_weight && !put(weight_[i], times)) return "two backward_weights";
        if (action.kind == ActionKind::backward && split) return "a backward in one";
        if (action.kind != ActionKind::backward) continue;
        if (!put(input_[i], times) || !put(weight_[i], {timed.end, timed.end})) return "two backwards";
      }
    }
    return "";
  }

  std::string check() const {
    const size_t chunks = size_t(spec_.stages) * size_t(spec_.chunks);
    for (size_t chunk = 0; chunk < chunks; ++chunk) {
      for (size_t microbatch = 0; microbatch < size_t(spec_.microbatches); ++microbatch) {
        const size_t i = index(chunk, microbatch);
        if (forward_[i].start < 0 || input_[i].start < 0 || weight_[i].start < 0) return "an action is missing";
        if (chunk > 0 && forward_[i].start < forward_[index(chunk - 1, microbatch)].end) return "forward without input";
        if (input_[i].start < forward_[i].end) return "backward before forward";
        if (chunk + 1 < chunks && input_[i].start < input_[index(chunk + 1, microbatch)].end) {
          return "backward without its gradient";
        }
        if (weight_[i].start < input_[i].end) return "backward_weight before backward_input";
        if (microbatch == 0) continue;
        const size_t before = index(chunk, microbatch - 1);
        if (forward_[i].start < forward_[before].end || input_[i].start < input_[before].end ||
            weight_[i].start < weight_[before].end) {
          return "microbatches out of order";
        }
      }
    }
    return "";
  }

 private:
  size_t index(size_t chunk, size_t microbatch) const { return chunk * size_t(spec_.microbatches) + microbatch; }

  static bool put(Times& place, const Times& times) {
    if (place.start >= 0) return false;
    place = times;
    return true;
  }

  const ScheduleSpec& spec_;
  std::vector<Times> forward_;
  std::vector<Times> input_;
  std::vector<Times> weight_;
};

// The formulas of schedule.h.
int expected_peak(const ScheduleSpec& spec, int stage) {
  const int p = spec.stages, v = spec.chunks, m = spec.microbatches;
  if (spec.kind == ScheduleKind::gpipe) return m * v;
  if (spec.kind == ScheduleKind::zb_h1) return std::min(m, p);
  return v == 1 ? std::min(m, p - stage) : std::min(m * v, 2 * (p - stage - 1) + (v - 1) * p + 1);
}

// Time beyond the work of a stage, where there is a formula.
std::optional<double> expected_bubble(const ScheduleSpec& spec, const ChunkTimes& t) {
  const int p = spec.stages, v = spec.chunks, m = spec.microbatches;
  const double all = t.forward + t.backward_input + t.backward_weight;
  if (spec.kind == ScheduleKind::zb_h1) {
    if (m < p) return std::nullopt;
    return (p - 1) * std::max({t.forward + t.backward_input - t.backward_weight, t.forward, t.backward_input});
  }
  const int rest = m % p;
  return (p - 1 + (rest == 0 ? 0 : (v - 1) * (p - rest))) * all;
}

std::string check_timeline(const ScheduleSpec& spec, const Timeline& timeline, const ChunkTimes& t) {
  const double work = spec.microbatches * spec.chunks * (t.forward + t.backward_input + t.backward_weight);
  const double tolerance = 1e-9 * timeline.makespan;  // sums of thousands of times, each rounded to 2^-53
  for (size_t stage = 0; stage < timeline.stages.size(); ++stage) {
    const StageTimeline& at = timeline.stages[stage];
    if (std::abs(at.busy - work) > tolerance) return "busy for " + std::to_string(at.busy);
    const int peak = expected_peak(spec, static_cast<int>(stage));
    if (at.peak_in_flight != peak) {
      return "stage " + std::to_string(stage) + " holds " + std::to_string(at.peak_in_flight) + ", expected " +
             std::to_string(peak);
    }
  }
  const std::optional<double> bubble = expected_bubble(spec, t);
  if (bubble && std::abs(timeline.makespan - work - *bubble) > tolerance) {
    return "bubble is " + std::to_string(timeline.makespan - work) + ", expected " + std::to_string(*bubble);
  }
  if (std::abs(timeline.bubble_fraction() - (1 - work / timeline.makespan)) > 1e-9) return "wrong bubble_fraction()";
  if (spec.kind == ScheduleKind::zb_h1) {
    const ScheduleSpec one_f_one_b{ScheduleKind::one_f_one_b, spec.stages, 1, spec.microbatches};
    if (timeline.makespan > work + *expected_bubble(one_f_one_b, t) + tolerance) return "slower than 1F1B";
  }
  return "";
}

}  // namespace

std::string describe(const ScheduleSpec& spec) {
  return std::string(name(spec.kind)) + ", " + std::to_string(spec.stages) + " stages of " +
         std::to_string(spec.chunks) + ", " + std::to_string(spec.microbatches) + " microbatches";
}

std::string fault_of(const ScheduleSpec& spec, const ChunkTimes& times) {
  try {
    const Timeline timeline = simulate(spec, {.chunks = {times}, .message = 0});
    ActionTable table(spec);
    std::string fault = table.fill(timeline);
    if (fault.empty()) fault = table.check();
    if (fault.empty()) fault = check_timeline(spec, timeline, times);
    return fault.empty() ? "" : describe(spec) + ": " + fault;
  } catch (const runtime::Error& error) {
    return describe(spec) + ": " + error.what();
  }
}

}  // namespace trireme::parallel
