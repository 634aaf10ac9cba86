#include "model/stages.h"

#include <string>

#include "parallel/stage_cut.h"
#include "runtime/error.h"

namespace trireme::model {
namespace {

struct Costs {
  std::vector<double> layers;
  double embedding = 0;
  double head = 0;
};

/// Of one token, forward, in flops. The embedding is bytes: it reads a row and writes one, in backward twice that, at
/// ten flops a byte (fp32 products here do 145 Gflop/s a core, whose memory gives it 14 GB/s).
Costs costs_of(const ModelConfig& config, int64_t tokens) {
  constexpr double kFlopsPerByte = 10;
  const auto C = static_cast<double>(config.width);
  const double table = static_cast<double>(config.vocabulary_size) * C;
  const double all = flops_per_token(config, tokens == 0 ? config.positions : tokens) / 3;
  const double tables = 2 * table * (config.tied_embeddings ? 1 : 2);
  return {.layers = std::vector<double>(static_cast<size_t>(config.layers),
                                        (all - tables) / static_cast<double>(config.layers)),
          .embedding = kFlopsPerByte * 8 * C,
          .head = 2 * table};
}

std::vector<int64_t> first_layers(const Costs& costs, const Stages& stages) {
  if (stages.count == 1 && stages.chunks > 1) {
    throw runtime::Error(runtime::ErrorKind::usage, "--virtual-stages " + std::to_string(stages.chunks) +
                                                        " needs a pipeline: choose --pipeline-parallel 2 or more, or "
                                                        "--virtual-stages 1");
  }
  if (stages.count == 1) return {0};
  return parallel::cut_layers(costs.layers, costs.embedding, costs.head, stages.count * stages.chunks);
}

}  // namespace

Stages stages_of(const parallel::Mesh& mesh, const Execution& execution) {
  return {.count = mesh.pp, .chunks = execution.virtual_stages, .tokens = execution.cut_tokens};
}

std::vector<ChunkPlace> cut_model(const ModelConfig& config, const Stages& stages) {
  const std::vector<int64_t> first = first_layers(costs_of(config, stages.tokens), stages);
  std::vector<ChunkPlace> places;
  for (size_t i = 0; i < first.size(); ++i) {
    const int64_t end = i + 1 < first.size() ? first[i + 1] : config.layers;
    places.push_back(
        {.first_layer = first[i], .layers = end - first[i], .is_first = i == 0, .is_last = i + 1 == first.size()});
  }
  return places;
}

double cut_balance(const ModelConfig& config, const Stages& stages) {
  const Costs costs = costs_of(config, stages.tokens);
  return parallel::balance(costs.layers, costs.embedding, costs.head, first_layers(costs, stages), stages.count);
}

std::vector<ChunkPlace> chunks_of_stage(const ModelConfig& config, const Stages& stages, int stage) {
  const std::vector<ChunkPlace> all = cut_model(config, stages);
  std::vector<ChunkPlace> own;
  for (int chunk = 0; chunk < stages.chunks; ++chunk) {
    own.push_back(all[static_cast<size_t>(chunk * stages.count + stage)]);
  }
  return own;
}

}  // namespace trireme::model
