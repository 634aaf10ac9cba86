#include "launch/trace_events.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>
#include <cstdio>
#include <map>
#include <optional>
#include <tuple>

#include "launch/number_text.h"
#include "runtime/collective_plan.h"
#include "runtime/flight_words.h"

namespace trireme::launch {
namespace {

namespace json = boost::json;
using runtime::GroupFlight;
using runtime::TracedCall;
using runtime::TracedOp;
using runtime::TracedSpan;
using runtime::TracedWait;

constexpr size_t kPieceBytes = 1 << 20;
constexpr int64_t kTrainingRow = 0;
constexpr int64_t kMostLanes = 100;  // of a group, for the order of rows alone

std::string quoted(std::string_view text) {
  return json::serialize(json::string_view(text.data(), text.size()));
}

/// The members of an event's "args".
class Args {
 public:
  Args& add(std::string_view name, int64_t value) { return add_text(name, std::to_string(value)); }
  Args& add(std::string_view name, double value) { return add_text(name, number_text(value)); }
  Args& add(std::string_view name, std::string_view value) { return add_text(name, quoted(value)); }
  const std::string& text() const { return text_; }

 private:
  Args& add_text(std::string_view name, const std::string& value) {
    text_ += (text_.empty() ? "\"" : ", \"") + std::string(name) + "\": " + value;
    return *this;
  }
  std::string text_;
};

/// Whole nanoseconds as the microseconds of the format: slices that nest by the clock nest in the file.
std::string microseconds(int64_t nanoseconds) {
  char text[32];
  std::snprintf(text, sizeof text, "%lld.%03lld", static_cast<long long>(nanoseconds / 1000),
                static_cast<long long>(nanoseconds % 1000));
  return text;
}

class Writer {
 public:
  Writer(const RankEvents& events, const std::function<void(std::string_view)>& write)
      : events_(events), write_(write) {}

  /// What a row or a process is called, and where it stands.
  void metadata(std::string_view name, int64_t row, const Args& args) { event("M", name, row, "", args); }

  /// `begin` and `end` by this rank's clock.
  void slice(int64_t row, std::string_view name, std::string_view category, double begin, double end,
             const Args& args) {
    const int64_t from = nanoseconds(begin);
    event("X", name, row,
          ", \"cat\": \"" + std::string(category) + "\", \"ts\": " + microseconds(from) +
              ", \"dur\": " + microseconds(std::max<int64_t>(nanoseconds(end) - from, 0)),
          args);
  }

  void flush() {
    if (!text_.empty()) write_(text_);
    text_.clear();
  }

 private:
  int64_t nanoseconds(double seconds) const {
    return std::max<int64_t>(std::llround(1e9 * (events_.clock(seconds) - events_.zero)), 0);
  }

  void event(std::string_view phase, std::string_view name, int64_t row, const std::string& more, const Args& args) {
    text_ += ",\n{\"ph\": \"" + std::string(phase) + "\", \"name\": " + quoted(name) +
             ", \"pid\": " + std::to_string(events_.rank) + ", \"tid\": " + std::to_string(row) + more +
             ", \"args\": {" + args.text() + "}}";
    if (text_.size() >= kPieceBytes) flush();
  }

  const RankEvents& events_;
  const std::function<void(std::string_view)>& write_;
  std::string text_;
};

void name_row(Writer& writer, int64_t row, const std::string& name, int64_t place) {
  writer.metadata("thread_name", row, Args().add("name", name));
  writer.metadata("thread_sort_index", row, Args().add("sort_index", place));
}

void write_rank(Writer& writer, const RankEvents& events) {
  const std::string name = "rank " + std::to_string(events.rank) + " (" + events.host + ")";
  writer.metadata("process_name", kTrainingRow, Args().add("name", name));
  writer.metadata("process_sort_index", kTrainingRow, Args().add("sort_index", int64_t{events.rank}));
  Args clock;
  const runtime::ClockReading& reading = events.reading;
  clock.add("labels",
            events.rank == 0 ? "its clock is the file's" : "clock known to " + time_text(reading.round_trip / 2));
  clock.add("offset_seconds", reading.offset).add("round_trip_seconds", reading.round_trip);
  clock.add("events_left_out", events.trace.left_out());
  writer.metadata("process_labels", kTrainingRow, clock);
  name_row(writer, kTrainingRow, "training", 0);
}

void write_span(Writer& writer, const TracedSpan& span, double end) {
  std::string name(span.name);
  if (span.number >= 0) name += " " + std::to_string(span.number);
  Args args;
  const bool is_action = span.chunk >= 0;
  if (span.number >= 0) args.add(is_action ? "microbatch" : "step", span.number);
  if (is_action) args.add("chunk", int64_t{span.chunk});
  writer.slice(kTrainingRow, name, is_action ? "action" : "phase", span.begin, span.end > 0 ? span.end : end, args);
}

void write_op(Writer& writer, const TracedOp& op) {
  Args args;
  const std::string sizes = sizes_text(op.cost.sizes.sizes());
  if (!sizes.empty()) args.add("sizes", sizes);
  args.add("flops", op.cost.flops).add("bytes", op.cost.bytes);
  if (op.cost.recomputed_flops > 0) args.add("recomputed_flops", op.cost.recomputed_flops);
  const double seconds = op.end - op.begin;
  if (seconds > 0) {
    args.add("flops_per_second", static_cast<double>(op.cost.flops) / seconds);
    args.add("bytes_per_second", static_cast<double>(op.cost.bytes) / seconds);
  }
  writer.slice(kTrainingRow, op.cost.op, "op", op.begin, op.end, args);
}

/// The rows of one group: a call takes the first that is free again.
struct GroupRows {
  std::string name;
  std::string ranks;  ///< "ranks 0-1, 3"
  std::vector<int64_t> rows;
  std::vector<double> busy_until;
};

class CallWriter {
 public:
  CallWriter(Writer& writer, const RankEvents& events) : writer_(writer), events_(events) {
    for (const GroupFlight& group : events.groups)
      groups_[group.id] = {
          .name = group.name, .ranks = runtime::rank_words(group.world_ranks), .rows = {}, .busy_until = {}};
  }

  void call(const TracedCall& call, const LastEntrant& last) {
    const bool has_ended = call.left > 0;
    const double end = has_ended ? call.left : std::max(events_.end, call.entered);
    const int64_t bytes = call.elements * runtime::size_bytes(call.dtype);
    const bool is_received = call.op == runtime::name(runtime::CollectiveOp::recv);
    Args args = place_args(call.group, call.position, call.peer);
    args.add("elements", call.elements).add("dtype", runtime::name(call.dtype));
    args.add("bytes", bytes).add("sent_bytes", call.sent_bytes);
    const auto moved = static_cast<double>(is_received ? bytes : call.sent_bytes);
    const double seconds = moving_seconds(call, last);
    if (seconds > 0) args.add("bytes_per_second", moved / seconds);
    if (last.rank >= 0) args.add("last_rank", last.rank).add("last_by_us", 1e6 * last.by);
    if (!has_ended) args.add("unfinished", int64_t{1});
    writer_.slice(row_for(call.group, call.entered, end), call.op, "call", call.entered, end, args);
  }

  /// `last`: of the call that is waited for, where it is known.
  void wait(const TracedWait& wait, const LastEntrant* last) {
    Args args = place_args(wait.group, wait.position, wait.peer);
    std::optional<int64_t> for_rank;
    if (wait.peer >= 0) for_rank = wait.peer;
    if (last != nullptr && last->rank >= 0 && last->rank != events_.rank && last->entered > events_.clock(wait.begin)) {
      for_rank = last->rank;
    }
    if (for_rank) args.add("for_rank", *for_rank);
    writer_.slice(kTrainingRow, "wait for " + std::string(wait.op), "wait", wait.begin, wait.end, args);
  }

 private:
  /// How long its data can have moved; of a collective not before the last rank entered it. 0: not known.
  double moving_seconds(const TracedCall& call, const LastEntrant& last) const {
    if (call.left <= 0) return 0;
    double begin = events_.clock(call.entered);
    if (last.rank >= 0) begin = std::max(begin, last.entered);
    return std::max(events_.clock(call.left) - begin, 0.0);
  }

  Args place_args(int group, int64_t position, int peer) {
    Args args;
    args.add("group", groups_[group].name).add("of", groups_[group].ranks).add("position", position);
    if (peer >= 0) args.add("peer", int64_t{peer});
    return args;
  }

  int64_t row_for(int group, double begin, double end) {
    GroupRows& of_group = groups_[group];
    size_t lane = 0;
    while (lane < of_group.rows.size() && of_group.busy_until[lane] > begin) ++lane;
    if (lane == of_group.rows.size()) {
      const int64_t place = 1 + group * kMostLanes + static_cast<int64_t>(lane);
      of_group.rows.push_back(++last_row_);
      of_group.busy_until.push_back(0);
      name_row(writer_, last_row_, of_group.name + (lane == 0 ? "" : " " + std::to_string(lane + 1)), place);
    }
    of_group.busy_until[lane] = end;
    return of_group.rows[lane];
  }

  Writer& writer_;
  const RankEvents& events_;
  std::map<int, GroupRows> groups_;
  int64_t last_row_ = kTrainingRow;
};

}  // namespace

void write_events(const RankEvents& events, const std::function<void(std::string_view)>& write) {
  const runtime::Trace& trace = events.trace;
  Writer writer(events, write);
  write_rank(writer, events);
  for (const TracedSpan& span : trace.spans()) write_span(writer, span, events.end);
  for (const TracedOp& op : trace.ops()) write_op(writer, op);

  CallWriter calls(writer, events);
  std::map<std::tuple<int, int64_t>, const LastEntrant*> collectives;
  for (size_t i = 0; i < trace.calls().size(); ++i) {
    const TracedCall& call = trace.calls()[i];
    const LastEntrant& last = events.last_entrants[i];
    if (call.peer < 0) collectives[{call.group, call.position}] = &last;
    calls.call(call, last);
  }
  for (const TracedWait& wait : trace.waits()) {
    const auto found = wait.peer < 0 ? collectives.find({wait.group, wait.position}) : collectives.end();
    calls.wait(wait, found == collectives.end() ? nullptr : found->second);
  }
  writer.flush();
}

}  // namespace trireme::launch
