// Scratch that an op needs on the GPU only: taken when the stream runs there, or plans for it.
#pragma once

#include "runtime/arena.h"
#include "runtime/stream.h"

namespace trireme::runtime {

/// Absent on other devices. To be called inside the op's ArenaFrame.
inline View cuda_scratch(const Stream& stream, Arena& scratch, DType dtype, int64_t elements) {
  return stream.planned_device() == Device::cuda ? scratch.allocate(dtype, {elements}) : View();
}

}  // namespace trireme::runtime
