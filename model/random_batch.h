// Random tokens to train on: what is computed does not depend on them.
#pragma once

#include <cstdint>
#include <vector>

#include "model/trainer.h"

namespace trireme::model {

/// A microbatch whose tokens are a function of `seed`; `view` points into the rest, so it is not copied.
struct RandomBatch {
  std::vector<int32_t> tokens;
  std::vector<int32_t> targets;
  std::vector<int64_t> samples;
  HostMicrobatch view;

  RandomBatch(uint64_t seed, int64_t B, int64_t T, int64_t V);
  RandomBatch(const RandomBatch&) = delete;
  RandomBatch& operator=(const RandomBatch&) = delete;
};

}  // namespace trireme::model
