// Who entered a collective last, and who therefore waited for whom: found from the times at which the ranks of a group
// entered its calls. Pure functions; times are on one clock by now.
#pragma once

#include <cstdint>
#include <vector>

namespace trireme::launch {

/// A collective, as one of its ranks entered it. Ranks send it to each other as it is.
struct CallEntry {
  int64_t group = 0;         ///< GroupFlight::id; groups of one split share it,
  int64_t first_member = 0;  ///< but not their first rank in the world
  int64_t members = 0;       ///< of the group
  int64_t position = 0;      ///< among the group's collectives
  double entered = 0;
};

/// Likewise.
struct LastEntrant {
  int64_t rank = -1;   ///< in the world; -1: not known, since a rank of the group did not record the call
  double entered = 0;  ///< when it did
  double by = 0;       ///< seconds after the last but one
};

/// Of every entry of every rank the last entrant of its call.
std::vector<std::vector<LastEntrant>> last_entrants(const std::vector<std::vector<CallEntry>>& of_ranks);

}  // namespace trireme::launch
