// `trireme checkpoint list|show|verify|pin|unpin|diff|merge`: what a run saved, said on standard output or put into one
// file. A path is a run directory, which stands for its newest step (for all of them with list), or a step directory.
#pragma once

#include <string>

#include "launch/options.h"

namespace trireme::launch {

/// Each throws Error(usage), one line, for a path that is neither a run nor a step, or a run without checkpoints (list
/// then says so and returns 0).
/// A line for each step, oldest first; a manifest that cannot be read is said in its line. Returns 0.
int checkpoint_list(const std::string& path);
/// Step, run, layout, state, tensors and files. Returns 0; a damaged manifest throws Error(data).
int checkpoint_show(const std::string& path);
/// Checks every byte. Returns 0 when all is good, 1 after a line for each problem.
int checkpoint_verify(const std::string& path);
/// What is pinned is not deleted by the run's retention. Of a run it is the newest step that verify finds good. Returns
/// 0; Error(usage) for a step outside a run. Unpinning what is not pinned is fine.
int checkpoint_pin(const std::string& path);
int checkpoint_unpin(const std::string& path);
/// Tensors and training state. Returns 0 when they are identical, 1 after a line for each difference.
int checkpoint_diff(const std::string& a, const std::string& b);

/// One file of whole tensors, as the options say. Returns 0; damage throws Error(data) naming file and tensor.
int checkpoint_merge(const CheckpointOptions& options);

}  // namespace trireme::launch
