// A world of ranks that are threads of this process: for tests, and for comparing layouts without a launcher.
#pragma once

#include <functional>

#include "runtime/communicator.h"
#include "runtime/message_engine.h"

namespace trireme::runtime {

/// Calls `body` with each rank's communicator, each in a thread of its own, and joins them. A rank that throws makes
/// the others fail with Error(peer) when they wait for it; the first exception that is not such a consequence is
/// rethrown.
void run_local_ranks(int size, const std::function<void(Communicator&)>& body, const MessageOptions& options = {});

}  // namespace trireme::runtime
