// The stand-in of CUDA's header of the same name: see cuda_runtime.h.
#pragma once

#include "tests/emulation/include/cuda_runtime.h"
