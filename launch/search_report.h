// What `plan --search` prints: the best layouts, and why the others fell. Pure functions of what was found.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <string>

#include "launch/layout_search.h"

namespace trireme::launch {

/// What was searched.
struct SearchQuestion {
  int ranks = 1;
  int64_t memory_bytes = 0;   ///< of a rank
  std::string memory_source;  ///< whose figure that is: "--device-memory"
};

/// "tp 2 x dp 1 x pp 4, ZeRO 0, 1f1b, 8 microbatches of 1 sequence, recompute none"
std::string choice_text(const LayoutChoice& choice);

/// Lines: the best with what they reach, the nearest of each kind that fell, the options of the winner.
std::string search_table(const LayoutSearch& search, const SearchQuestion& question);

/// The same as {ranks, memory_bytes, memory_source, layouts, fitting, best, fallen}.
boost::json::object to_json(const LayoutSearch& search, const SearchQuestion& question);

}  // namespace trireme::launch
