#include "tests/launch/parsed_trace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "runtime/json.h"

namespace trireme::tests {
namespace {

int64_t nanoseconds(const boost::json::value& microseconds) {
  return std::llround(1000 * microseconds.to_number<double>());
}

TraceSlice slice_of(const boost::json::object& event) {
  TraceSlice slice{.rank = event.at("pid").as_int64(),
                   .row = event.at("tid").as_int64(),
                   .name = std::string(event.at("name").as_string()),
                   .category = std::string(event.at("cat").as_string()),
                   .begin = nanoseconds(event.at("ts")),
                   .args = event.at("args").as_object()};
  const int64_t duration = nanoseconds(event.at("dur"));  // a complete event: its end cannot be missing
  EXPECT_GE(duration, 0) << slice.name;
  EXPECT_GE(slice.begin, 0) << slice.name;
  slice.end = slice.begin + duration;
  return slice;
}

}  // namespace

std::vector<TraceSlice> ParsedTrace::of(int64_t rank, const std::string& category) const {
  std::vector<TraceSlice> found;
  for (const TraceSlice& slice : slices) {
    if (slice.rank == rank && slice.category == category) found.push_back(slice);
  }
  return found;
}

ParsedTrace parse_trace(const std::string& text) {
  const boost::json::object file = runtime::parse_json(text).as_object();
  ParsedTrace trace{.head = file.at("otherData").as_object(), .slices = {}, .rows = {}, .labels = {}};
  for (const boost::json::value& value : file.at("traceEvents").as_array()) {
    const boost::json::object& event = value.as_object();
    const std::string phase(event.at("ph").as_string());
    if (phase == "X") {
      trace.slices.push_back(slice_of(event));
      continue;
    }
    EXPECT_EQ(phase, "M");
    const int64_t rank = event.at("pid").as_int64();
    const boost::json::object& args = event.at("args").as_object();
    if (event.at("name") == "thread_name") {
      trace.rows[{rank, event.at("tid").as_int64()}] = std::string(args.at("name").as_string());
    }
    if (event.at("name") == "process_labels") trace.labels[rank] = args;
  }
  return trace;
}

void expect_rows_nest(const ParsedTrace& trace) {
  std::map<std::pair<int64_t, int64_t>, std::vector<const TraceSlice*>> rows;
  for (const TraceSlice& slice : trace.slices) rows[{slice.rank, slice.row}].push_back(&slice);
  for (auto& [row, slices] : rows) {
    EXPECT_TRUE(trace.rows.contains(row)) << "rank " << row.first << " row " << row.second << " has no name";
    std::ranges::stable_sort(slices, {}, [](const TraceSlice* slice) { return std::pair(slice->begin, -slice->end); });
    std::vector<const TraceSlice*> open;
    for (const TraceSlice* slice : slices) {
      while (!open.empty() && open.back()->end <= slice->begin) open.pop_back();
      EXPECT_TRUE(open.empty() || open.back()->holds(*slice))
          << "rank " << row.first << ": " << slice->name << " is half in " << open.back()->name;
      open.push_back(slice);
    }
  }
}

}  // namespace trireme::tests
