// Whether a run can be written at all: a read-only mount or a full disk is found before training, not by its first
// save.
#pragma once

#include <string>

#include "runtime/communicator.h"
#include "runtime/files.h"

namespace trireme::launch {

/// Collective: every rank writes a page into RUN/checkpoints (which is there), durably, and removes it again. Throws on
/// all ranks what failed on one of them, naming --run. What a rank that dies leaves behind is swept with the trash.
void probe_run(runtime::Files& files, runtime::Communicator& world, const std::string& run);

}  // namespace trireme::launch
