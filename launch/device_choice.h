// The words of --device, and the device they stand for on this machine.
#pragma once

#include <string>
#include <vector>

#include "runtime/device.h"

namespace trireme::launch {

std::vector<std::string> device_words();

/// auto: the GPU when there is one and this rank is alone, else the CPU, since several ranks cannot use GPUs yet.
/// Throws Error(usage) saying what is missing when cuda cannot be had.
runtime::Device choose_device(const std::string& word, int ranks);

}  // namespace trireme::launch
