// The name that somebody who typed something else probably meant.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace trireme::launch {

/// Letters to insert, drop, replace or swap with their neighbour to get from a to b (optimal string alignment).
int edit_distance(const std::string& a, const std::string& b);

/// The nearest name within a third of the word's length, else the shortest that the word is a part of, else nothing.
std::optional<std::string> nearest_name(const std::string& word, const std::vector<std::string>& names);

}  // namespace trireme::launch
