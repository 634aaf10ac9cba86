// What this rank's GPU can do at best, measured in the run that is held against it: on the GPU what machine_peaks.h is
// on the CPU. Copies are the driver's, products those of ops/linear.h; operands are random, since a product of zeros
// takes less power and so runs at a higher clock.
#pragma once

#include <cstdint>

#include "runtime/stream.h"

namespace trireme::runtime {

struct DevicePeaks {
  double product_flops = 0;       ///< flop/s, bf16 storage, 8192^3
  double fp32_product_flops = 0;  ///< flop/s, fp32 storage, 4096^3
  double copy_bytes = 0;          ///< bytes/s read and written, 2 GiB from one place to another
};

/// Each rate is that of the shortest of several runs, by the device's own clock. Takes 4.5 GiB of its memory for a
/// second or two. Throws Error(device) when that is not free. `stream` is of Device::cuda.
DevicePeaks measure_device_peaks(Stream& stream);

/// Dense bf16 product of an H100 or H200 (SXM) by NVIDIA's data sheet, flop/s.
inline constexpr double kHopperSheetFlops = 989e12;

}  // namespace trireme::runtime
