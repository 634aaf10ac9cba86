// How long messages take between the ranks of a communicator, by size: the part of a calibration that needs more than
// one rank.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "runtime/communicator.h"

namespace trireme::runtime {

struct MessageTime {
  int64_t ranks = 0;  ///< that took part: all of the group in a collective, two in send_recv
  /// all_reduce, reduce_scatter, all_gather: one call; send_recv: one way, half of there and back
  std::string op;
  int64_t bytes = 0;  ///< of the buffer; of all ranks' parts in reduce_scatter and all_gather
  double seconds = 0;
  bool operator==(const MessageTime&) const = default;
};

/// Collective; nothing when the group is one rank. The collectives of fp32 over all ranks, then messages between the
/// first and the last rank, which are the farthest from each other; buffers are cut to whole numbers a rank. The
/// shortest of several repetitions, of which each takes the mean of some calls; the figures of rank 0.
std::vector<MessageTime> measure_messages(Communicator& world, std::span<const int64_t> sizes_bytes);

}  // namespace trireme::runtime
