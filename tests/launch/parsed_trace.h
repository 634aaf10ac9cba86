// A trace file as tests look at it: its slices, by rank and row, in whole nanoseconds.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace trireme::tests {

struct TraceSlice {
  int64_t rank = 0;
  int64_t row = 0;
  std::string name;
  std::string category;
  int64_t begin = 0;
  int64_t end = 0;
  boost::json::object args;

  bool holds(const TraceSlice& other) const { return begin <= other.begin && other.end <= end; }
};

struct ParsedTrace {
  boost::json::object head;
  std::vector<TraceSlice> slices;                           ///< in the order of the file
  std::map<std::pair<int64_t, int64_t>, std::string> rows;  ///< names, by rank and row
  std::map<int64_t, boost::json::object> labels;            ///< args of process_labels, by rank

  std::vector<TraceSlice> of(int64_t rank, const std::string& category) const;
};

/// Fails the test where the text is not JSON, or an event not of the format.
ParsedTrace parse_trace(const std::string& text);

/// Two slices of a row either lie apart or one in the other.
void expect_rows_nest(const ParsedTrace& trace);

}  // namespace trireme::tests
