// The parameters of a model: their names, shapes, initial values and decay, cut into units, and the memory of those
// units. Layers receive views from here; checkpoints receive (name, box, view).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/config.h"
#include "model/execution.h"
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

/// The units of a model in order: embedding, layers.0 ..., head. GPT-2's initialisation (Radford et al. 2019) for every
/// family: N(0, 0.02), residual projections divided by sqrt(2 L), biases 0, norms 1.
std::vector<UnitDefinition> define_units(const ModelConfig& config);

/// One unit in memory; the ranges are flat, of layout.elements, fp32 but for `parameters`. Gradients and moments are
/// absent for inference.
struct Unit {
  UnitDefinition definition;
  parallel::UnitLayout layout;
  std::vector<runtime::ElementRange>
      undecayed{};           ///< of the ranges: parameters without weight decay, neighbours joined
  runtime::View parameters;  ///< what layers read, in the storage of the run
  runtime::View masters;     ///< what is updated, saved and loaded; `parameters` itself when those are fp32
  runtime::View gradients;
  runtime::View exp_avg;
  runtime::View exp_avg_sq;

  /// The part of `range` that holds parameter `index` of the layout, with its shape on this rank.
  runtime::View part(const runtime::View& range, size_t index) const;
  bool has_own_masters() const { return parameters.dtype != runtime::DType::fp32; }
};

enum class Purpose { inference, training };

/// Rows of a table over the vocabulary in the memory of `device`, zeros from V on: as wide as its products like logits
/// to be. Checkpoints and the model's definition know the V alone.
int64_t vocabulary_rows(int64_t V, runtime::Device device);

/// Places every unit in `persistent`, not yet cleared.
std::vector<Unit> make_units(const ModelConfig& config, int64_t dp, Purpose purpose, const Execution& execution,
                             runtime::Arena& persistent);

/// Zeroes everything, padding included: what comes before initialize() and before loading a checkpoint.
void clear(runtime::Stream& stream, std::vector<Unit>& units);

/// parameters := masters, rounded to nearest even; nothing to do where they are the same. To be called when masters
/// were loaded.
void round_masters(runtime::Stream& stream, std::vector<Unit>& units);

/// Initial weights by (seed, name, global element index), masters and parameters. The units are clear.
void initialize(runtime::Stream& stream, uint64_t seed, std::vector<Unit>& units);

}  // namespace trireme::model
