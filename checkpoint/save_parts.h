// A save, cut where the ranks tell each other what came of it: prepare (first rank), write (each), commit (first rank).
// Knows no other rank and no thread; save_steps.h says when which rank does what. At every instant before the rename in
// commit_save the older checkpoints are all there is; after it the new one is whole.
#pragma once

#include <set>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/save_request.h"
#include "checkpoint/shard_writer.h"
#include "runtime/files.h"

namespace trireme::checkpoint {

/// First rank. Makes the unfinished directory of this attempt, durably, and sweeps what older attempts left. Throws
/// Error(peer) when this attempt was replaced; Error(io) when checkpoints/ or the run's directory is gone, or the step
/// is there already and good; Error(version) when it is there in a format that is not known here.
void prepare_save(runtime::Files& files, const SaveRequest& request);

/// Each rank with slices: its shard, durable, of the bytes given, which are those of the slices. Returns the report for
/// commit_save.
std::string write_part(runtime::Files& files, const SaveRequest& request, const std::string& shard_name,
                       SliceBytes& bytes);
/// "shard-00001-of-00004.h5" of each rank, numbered over those that have slices; "" of those that have none.
std::vector<std::string> shard_names(std::span<const int64_t> slice_counts);

/// First rank, with the reports of all ("" of those that wrote nothing): proves the cover, writes the manifest, sets a
/// damaged step of this number aside, checks that this attempt was not replaced, renames: the commit.
void commit_save(runtime::Files& files, const SaveRequest& request, std::span<const std::string> reports);
/// First rank: the commit is durable when this returns.
void settle_commit(runtime::Files& files, const SaveRequest& request);

/// First rank, after a commit: deletes what request.retention does not keep; that it cannot is no failure of
/// the save, only a warning. `good` are the steps known to be good.
void retain_after(runtime::Files& files, const SaveRequest& request, std::set<int64_t>& good);

/// First rank, after a failure: removes the unfinished directory; what cannot be removed is left to the next sweep.
void abandon_save(runtime::Files& files, const SaveRequest& request);

}  // namespace trireme::checkpoint
