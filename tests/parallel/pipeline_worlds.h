// The cases in pipeline_cases.cpp run on pipelines of threads in one executable and on the MPI world in another.
#pragma once

#include <functional>

#include "runtime/communicator.h"
#include "runtime/message_engine.h"

namespace trireme::parallel {

/// Of every world: small, so that an activation is several messages.
inline constexpr runtime::MessageOptions kTestMessages{.chunk_bytes = 4096};

/// Calls `body` as every rank of every world that this executable has; in a pipeline each rank is a stage.
void on_each_pipeline(const std::function<void(runtime::Communicator&)>& body);

}  // namespace trireme::parallel
