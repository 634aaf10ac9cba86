// Where the layers of a model lie in a pipeline: each stage holds chunks of neighbouring layers, the first also the
// embedding, the last the head. Plain numbers; nothing here owns memory.
#pragma once

#include <cstdint>
#include <vector>

#include "model/config.h"
#include "model/execution.h"
#include "parallel/mesh.h"

namespace trireme::model {

/// The layers of one chunk.
struct ChunkPlace {
  int64_t first_layer = 0;
  int64_t layers = 0;
  bool is_first = true;  ///< of the model: holds the embedding
  bool is_last = true;   ///< of the model: holds the head
};

/// A pipeline to cut a model for.
struct Stages {
  int count = 1;
  int chunks = 1;      ///< of a stage
  int64_t tokens = 0;  ///< of a sequence, on which the cost of attention depends; 0: the model's positions
};

Stages stages_of(const parallel::Mesh& mesh, const Execution& execution);

/// Of all chunks of the model in order; chunk c of stage s is number c * stages + s. Cut by the floating-point
/// operations of layers and head. Throws Error(usage) with both numbers when there are more chunks than layers, or
/// several chunks in a pipeline of one stage.
std::vector<ChunkPlace> cut_model(const ModelConfig& config, const Stages& stages);

/// Mean over largest cost of the stages: what a pipeline can reach by its cut, apart from its bubble.
double cut_balance(const ModelConfig& config, const Stages& stages);

/// The chunks of one stage.
std::vector<ChunkPlace> chunks_of_stage(const ModelConfig& config, const Stages& stages, int stage);

}  // namespace trireme::model
