// The border between `data` and `model`: a loaded microbatch as train_step and add_loss take it.
#pragma once

#include "data/batch_loader.h"
#include "model/train_step.h"

namespace trireme::launch {

/// Views of sequences of T tokens; `batch` must outlive the result.
inline model::HostMicrobatch host_microbatch(const data::Microbatch& batch, int64_t T) {
  return {.B = static_cast<int64_t>(batch.samples.size()),
          .T = T,
          .tokens = batch.tokens.data(),
          .targets = batch.targets.data(),
          .samples = batch.samples.data(),
          .has_documents = !batch.first_keys.empty(),
          .positions = batch.positions.data(),
          .first_keys = batch.first_keys.data()};
}

}  // namespace trireme::launch
