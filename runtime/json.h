// JSON text to values, with every floating-point number read as the nearest one: Boost.JSON 1.81's own parser is off by
// a last bit for about a tenth of the 17-digit numbers, so that what was saved would not come back.
#pragma once

#include <boost/json/value.hpp>

#include <string_view>

namespace trireme::runtime {

/// Throws Error(data) "line 3: syntax error" for a text that is not exactly one JSON value; the caller adds the file.
boost::json::value parse_json(std::string_view text);

}  // namespace trireme::runtime
