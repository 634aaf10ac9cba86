// Sequences for a training that has no data: random tokens, a pure function of seed, sample and position, so that every
// layout reads the same. In the form in which data::TrainingLoader gives real ones.
#pragma once

#include <vector>

#include "data/batch_loader.h"

namespace trireme::launch {

/// The microbatches of this rank in step `step` (from 0), cut as those of TrainingLoader; of the options seed,
/// first_sample and the sizes count. Targets are the tokens that follow.
std::vector<data::Microbatch> random_step(const data::LoaderOptions& options, int64_t vocabulary_size, int64_t step);

}  // namespace trireme::launch
