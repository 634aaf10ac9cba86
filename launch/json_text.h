// JSON that people read: config.json indented, log.jsonl one object a line. Numbers have the shortest digits that read
// back as the same value (Boost's own writer says 2.5E0); not-a-number and infinities, which JSON lacks, become null.
#pragma once

#include <boost/json/value.hpp>
#include <string>

namespace trireme::launch {

/// Indented by two, with a line end at the end; arrays of plain values stay on one line.
std::string json_text(const boost::json::value& value);

/// Without any line break.
std::string json_line(const boost::json::value& value);

}  // namespace trireme::launch
