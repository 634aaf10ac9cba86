#include "launch/trace_file.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "launch/number_text.h"
#include "launch/trace_calls.h"
#include "launch/trace_events.h"
#include "launch/version.h"
#include "runtime/error.h"
#include "runtime/flight_recorder.h"
#include "runtime/host_name.h"
#include "runtime/log.h"
#include "runtime/stopwatch.h"

namespace trireme::launch {
namespace {

using runtime::Error;
using runtime::ErrorKind;

/// How every trace begins, and nothing else.
constexpr std::string_view kHead = R"({"otherData": {"kind": "trireme-trace", "format_version": 1, )";

/// Ours by its name: left by a start that died while it wrote.
std::string temporary_of(const std::string& path) {
  return path + ".trireme-tmp";
}

bool is_trace(runtime::Files& files, const std::string& path) {
  if (!files.is_regular_file(path)) return false;
  const std::unique_ptr<runtime::File> file = files.open(path);
  if (file->size_bytes() < static_cast<int64_t>(kHead.size())) return false;
  std::string head(kHead.size(), '\0');
  file->read_at(0, std::as_writable_bytes(std::span(head)));
  return head == kHead;
}

[[noreturn]] void refuse(const std::string& path, const std::string& why) {
  throw Error(ErrorKind::usage, "--trace " + path + " " + why + "; choose another file");
}

template <typename T>
std::string packed(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

template <typename T>
std::vector<T> unpacked(const std::string& bytes) {
  std::vector<T> values(bytes.size() / sizeof(T));
  std::memcpy(values.data(), bytes.data(), values.size() * sizeof(T));
  return values;
}

/// Of this rank's collectives, in the order of its calls.
std::vector<CallEntry> own_entries(const runtime::Trace& trace, const std::vector<runtime::GroupFlight>& groups,
                                   const runtime::ClockMap& clock) {
  std::vector<CallEntry> entries;
  for (const runtime::TracedCall& call : trace.calls()) {
    const auto group = std::ranges::find(groups, call.group, &runtime::GroupFlight::id);
    if (call.peer >= 0 || group == groups.end()) continue;
    entries.push_back({.group = call.group,
                       .first_member = std::ranges::min(group->world_ranks),
                       .members = static_cast<int64_t>(group->world_ranks.size()),
                       .position = call.position,
                       .entered = clock(call.entered)});
  }
  return entries;
}

/// Of each of `entries`: rank 0 finds it from those of all ranks. Collective.
std::vector<LastEntrant> find_last_entrants(runtime::Communicator& world, const std::vector<CallEntry>& entries) {
  if (world.rank() > 0) {
    runtime::send_bytes(world, packed(entries), 0);
    return unpacked<LastEntrant>(runtime::recv_bytes(world, 0));
  }
  std::vector<std::vector<CallEntry>> all{entries};
  for (int rank = 1; rank < world.size(); ++rank) all.push_back(unpacked<CallEntry>(runtime::recv_bytes(world, rank)));
  const std::vector<std::vector<LastEntrant>> last = last_entrants(all);
  for (int rank = 1; rank < world.size(); ++rank) {
    runtime::send_bytes(world, packed(last[static_cast<size_t>(rank)]), rank);
  }
  return last.front();
}

/// For every call of the trace; nothing for sends and receives.
std::vector<LastEntrant> last_entrant_of_calls(runtime::Communicator& world, const runtime::Trace& trace,
                                               const std::vector<runtime::GroupFlight>& groups,
                                               const runtime::ClockMap& clock) {
  const std::vector<LastEntrant> found = find_last_entrants(world, own_entries(trace, groups, clock));
  std::vector<LastEntrant> of_calls;
  size_t next = 0;
  for (const runtime::TracedCall& call : trace.calls()) {
    const bool has_entry = call.peer < 0 && std::ranges::count(groups, call.group, &runtime::GroupFlight::id) > 0;
    of_calls.push_back(has_entry ? found[next++] : LastEntrant{});
  }
  return of_calls;
}

/// The first moment that any rank recorded, on the common clock. Collective.
double agree_on_zero(runtime::Communicator& world, const runtime::Trace& trace, const runtime::ClockMap& clock) {
  double latest = trace.spans().empty() ? 0 : -clock(trace.spans().front().begin);  // the greatest of the negatives
  world.all_reduce(runtime::view_of(std::span<double>(&latest, 1), {1}), runtime::ReduceOp::max).wait();
  return -latest;
}

/// Appends pieces of events; after a failure it takes the others' and forgets them.
class TraceWriter {
 public:
  TraceWriter(runtime::Files& files, const std::string& path, const std::string& head) : files_(files), path_(path) {
    attempt([&] {
      files_.remove_all(temporary_of(path_));
      file_ = files_.create(temporary_of(path_));
      put(head);
    });
  }

  void events(std::string_view text) {
    if (is_first_) text.remove_prefix(1);  // its comma
    is_first_ = false;
    attempt([&] { put(text); });
  }

  /// In place of an older trace; the bytes, or what went wrong.
  int64_t finish() {
    attempt([&] {
      put("\n]}\n");
      file_->sync();
      file_.reset();
      files_.rename(temporary_of(path_), path_);
      files_.sync_directory(runtime::parent_directory(path_));
    });
    if (failure_) {
      remove_temporary();
      throw Error(*failure_);
    }
    return bytes_;
  }

 private:
  void put(std::string_view text) {
    file_->append(std::as_bytes(std::span(text)));
    bytes_ += static_cast<int64_t>(text.size());
  }

  /// What is written by now may be large, and the disk full.
  void remove_temporary() {
    file_.reset();
    try {
      files_.remove_all(temporary_of(path_));
    } catch (const Error& error) {
      runtime::log_error(error.what());
    }
  }

  template <typename Action>
  void attempt(const Action& action) {
    if (failure_) return;
    try {
      action();
    } catch (const Error& error) {
      failure_ = error;
    }
  }

  runtime::Files& files_;
  std::string path_;
  std::unique_ptr<runtime::File> file_;
  std::optional<Error> failure_;
  int64_t bytes_ = 0;
  bool is_first_ = true;
};

std::string head_of(const RecordedTrace& recorded, int ranks) {
  return std::string(kHead) + "\"program\": \"" + version() + " (" + commit() +
         ")\", \"ranks\": " + std::to_string(ranks) + ", \"first_step\": " + std::to_string(recorded.first_step) +
         ", \"steps\": " + std::to_string(recorded.steps) + "},\n\"displayTimeUnit\": \"ms\",\n\"traceEvents\": [";
}

/// Rank 0: its own events, then those of each rank, which ends with an empty piece.
void collect(runtime::Files& files, const std::string& path, runtime::Communicator& world,
             const RecordedTrace& recorded, const RankEvents& events) {
  TraceWriter writer(files, path, head_of(recorded, world.size()));
  write_events(events, [&](std::string_view text) { writer.events(text); });
  for (int rank = 1; rank < world.size(); ++rank) {
    while (true) {
      const std::string text = runtime::recv_bytes(world, rank);
      if (text.empty()) break;
      writer.events(text);
    }
  }
  try {
    const int64_t bytes = writer.finish();
    runtime::log_info("trace of " + counted(recorded.steps, "step") + " from step " +
                      std::to_string(recorded.first_step) + " on: " + path + ", " + bytes_text(bytes) +
                      "; open it in https://ui.perfetto.dev");
  } catch (const Error& error) {
    runtime::log_error(std::string(error.what()) + "; there is no trace, and training goes on");
  }
}

}  // namespace

void check_trace_file(runtime::Files& files, const std::string& path) {
  const std::string parent = runtime::parent_directory(path);
  if (!files.is_directory(parent)) refuse(path, "cannot be written: " + parent + " is not a directory");
  bool may_write = false;
  try {
    may_write = !files.exists(path) || is_trace(files, path);
  } catch (const Error& error) {
    refuse(path, std::string("cannot be read: ") + error.what());
  }
  if (!may_write) refuse(path, "exists and is not a trace");
  try {
    files.remove_all(temporary_of(path));
    files.create(temporary_of(path));
    files.remove_all(temporary_of(path));
  } catch (const Error& error) {
    refuse(path, std::string("cannot be written: ") + error.what());
  }
}

void write_trace_file(runtime::Files& files, const std::string& path, runtime::Communicator& world,
                      const RecordedTrace& recorded) {
  const double end = runtime::monotonic_seconds();
  runtime::ClockReading reading = recorded.before;
  reading.round_trip = std::max(reading.round_trip, recorded.after.round_trip);
  const runtime::ClockMap clock(recorded.before, recorded.after);
  std::vector<runtime::GroupFlight> groups;
  if (world.recorder() != nullptr) groups = world.recorder()->flight().groups;
  const RankEvents events{.trace = recorded.trace,
                          .rank = world.rank(),
                          .host = runtime::host_name(),
                          .groups = groups,
                          .last_entrants = last_entrant_of_calls(world, recorded.trace, groups, clock),
                          .clock = clock,
                          .zero = agree_on_zero(world, recorded.trace, clock),
                          .end = end,
                          .reading = reading};
  if (world.rank() == 0) return collect(files, path, world, recorded, events);
  write_events(events, [&](std::string_view text) { runtime::send_bytes(world, std::string(text), 0); });
  runtime::send_bytes(world, "", 0);
}

}  // namespace trireme::launch
