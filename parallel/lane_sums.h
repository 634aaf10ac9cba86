// Sums of gradients whose bits depend neither on how many ranks share a global batch nor on what each of them keeps
// (ZeRO). The batch is cut by sample into equal lanes, a power of two; dp divides them, so that a rank has some
// neighbouring ones. Within a lane gradients are added sequence by sequence. Lanes are added as a tree,
// ((0 + 1) + (2 + 3)) + ..., of which a rank adds the branch that is its own, and exchanges the rest. Knows ranges and
// messages, no layers; who calls it when is unit_shards.h's business.
#pragma once

#include "parallel/unit_memory.h"
#include "runtime/communicator.h"
#include "runtime/stream.h"

namespace trireme::parallel {

/// Lane number `lane` of this rank's `lanes` is complete in unit.gradients, and joins the sums before it, as a binary
/// counter carries: those of 1, 2, 4 ... lanes wait in unit.lane_sums. Afterwards unit.gradients is zero, for the next
/// lane; behind the last one it is the rank's sum.
void end_lane(runtime::Stream& stream, const UnitMemory& unit, int lane, int lanes);

/// Sends each rank of `dp` its range of this rank's sum. (dp-1)/dp * |gradients| bytes per rank.
runtime::Pending exchange_sums(runtime::Communicator& dp, const UnitMemory& unit);

/// The exchange is done: the rank's own range of unit.gradients becomes the sum over ranks, in the order of the tree.
void add_exchanged(runtime::Stream& stream, const UnitMemory& unit, int rank, int dp);

}  // namespace trireme::parallel
