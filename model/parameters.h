// The parameters of a model: their names, shapes, initial values and decay, cut into units, and the memory of those
// units on one rank. Layers receive views from here; checkpoints receive (name, box, view).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/execution.h"
#include "model/stages.h"
#include "parallel/unit_shards.h"
#include "parallel/units.h"
#include "runtime/arena.h"
#include "runtime/ops/adamw.h"
#include "runtime/stream.h"

namespace trireme::model {

/// A parameter as the family defines it.
struct ParameterDefinition {
  parallel::ParameterSpec spec;
  double standard_deviation = 0;  ///< of the normal initial values; 0: all are `constant`
  double constant = 0;
  bool decays = true;                ///< weight decay: matrices do, norms and biases do not
  bool is_vocabulary_table = false;  ///< a row an entry of the vocabulary; some devices want more rows
};

struct UnitDefinition {
  std::string name;
  std::vector<ParameterDefinition> parameters;
};

/// The units of a model in order: embedding, positions (where they are learned), layers.0 ..., head. GPT-2's
/// initialisation (Radford et al. 2019) for every family: N(0, 0.02), residual projections divided by sqrt(2 L), biases
/// 0, norms 1.
std::vector<UnitDefinition> define_units(const ModelConfig& config);

/// One unit of this rank: what it is, where its parameters lie in it, and its memory.
struct Unit {
  UnitDefinition definition;
  parallel::UnitLayout layout;  ///< parameters as this rank of tp holds them
  parallel::UnitMemory memory;  ///< gradients and moments are absent for inference
  bool is_copy = false;         ///< of the embedding, for the tied head of another stage: updated, but not saved
  bool is_layer = false;
  std::vector<runtime::ElementRange> undecayed{};  ///< of the owned range: no weight decay there, neighbours joined

  /// The part of `range` (whole: memory.parameters or memory.gradients, or any range where all is owned) that holds
  /// parameter `index` of the layout, with its shape on this rank.
  runtime::View part(const runtime::View& range, size_t index) const;
};

/// Where the units of one chunk lie among those of the rank; kNoUnit where it has none.
inline constexpr size_t kNoUnit = parallel::UnitShards::kNone;
struct ChunkUnits {
  size_t embedding = kNoUnit;
  size_t positions = kNoUnit;
  size_t first_layer = kNoUnit;
  size_t head = kNoUnit;
  size_t head_table = kNoUnit;  ///< the unit that holds the output matrix: the head, or (a copy of) the embedding
  /// The one that takes its gradients: the same, or StageUnits::tied_head, whose number follows those of all units.
  size_t head_gradients = kNoUnit;
};

enum class Purpose { inference, training };

/// The units of one rank, placed in memory, and what its messages about them need.
struct StageUnits {
  std::vector<Unit> units;
  std::vector<ChunkUnits> chunks;
  std::vector<parallel::UnitSpec> specs;  ///< of the units, then of tied_head
  /// With lanes, where embedding and tied output matrix lie on one rank: gradients of the latter, so that both are sums
  /// of their own as on two stages of a pipeline. Else its views are absent.
  parallel::UnitMemory tied_head;
  parallel::UnitMemoryOptions options;
};

/// Places the units of the chunks (of the stage groups.at.pp) in `persistent`, not yet cleared. Throws Error(usage)
/// with both numbers when tp does not divide heads, key/value heads or the feed-forward width.
StageUnits make_units(const ModelConfig& config, const std::vector<ChunkPlace>& chunks, Purpose purpose,
                      const Execution& execution, const parallel::MeshGroups& groups, runtime::Arena& persistent);

/// Throws Error(usage) naming both numbers and the nearest that do when tp does not divide what it must.
void check_tensor_parallel(const ModelConfig& config, int tp);

/// Zeroes everything, padding included: what comes before initialize() and before loading a checkpoint.
void clear(runtime::Stream& stream, std::vector<Unit>& units);

/// What layers read := masters, rounded to nearest even, in the owned ranges; nothing to do where they are the same. To
/// be called when masters were loaded; then UnitShards::parameters_changed().
void round_masters(runtime::Stream& stream, std::vector<Unit>& units);

/// Initial weights by (seed, name, global element index) in the owned ranges, masters and parameters. The units are
/// clear; then UnitShards::parameters_changed().
void initialize(runtime::Stream& stream, uint64_t seed, std::vector<Unit>& units);

}  // namespace trireme::model
