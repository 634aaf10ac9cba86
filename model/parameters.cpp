#include "model/parameters.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include "runtime/digest.h"
#include "runtime/error.h"
#include "runtime/ops/elementwise.h"

namespace trireme::model {

using parallel::Division;
using parallel::ParameterSpec;
using runtime::DType;
using runtime::View;

namespace {

/// A row of bf16 logits of an odd width is aligned to 2 bytes: tensor cores want 16 and caches 128.
int64_t vocabulary_row_multiple(runtime::Device device) {
  return device == runtime::Device::cuda ? 64 : 1;
}

/// Collects the definitions of one unit.
class UnitBuilder {
 public:
  UnitBuilder(std::string name, double standard_deviation)
      : unit_{std::move(name), {}}, standard_deviation_(standard_deviation) {}

  UnitBuilder& matrix(const std::string& name, int64_t rows, int64_t columns, Division division, double scale = 1) {
    return add({.spec = spec(name, {rows, columns}, division), .standard_deviation = standard_deviation_ * scale});
  }
  UnitBuilder& vector(const std::string& name, int64_t size, Division division, double constant = 0) {
    return add({.spec = spec(name, {size}, division), .constant = constant, .decays = false});
  }
  /// The last one lies directly behind its predecessor.
  UnitBuilder& fused(bool yes = true) {
    unit_.parameters.back().spec.fused_with_previous = yes;
    return *this;
  }
  UnitBuilder& vocabulary_table() {
    unit_.parameters.back().is_vocabulary_table = true;
    return *this;
  }
  UnitDefinition build() { return std::move(unit_); }

 private:
  static ParameterSpec spec(const std::string& name, const std::vector<int64_t>& shape, Division division) {
    return {.name = name, .global_shape = shape, .box = parallel::whole(shape), .division = division};
  }
  UnitBuilder& add(ParameterDefinition definition) {
    unit_.parameters.push_back(std::move(definition));
    return *this;
  }

  UnitDefinition unit_;
  double standard_deviation_;
};

void add_norm(UnitBuilder& unit, const ModelConfig& config, const std::string& name) {
  unit.vector(name + ".weight", config.width, Division::by_tokens, 1);
  if (config.norm == NormKind::layer_norm) unit.vector(name + ".bias", config.width, Division::by_tokens);
}

/// Biases of the projections whose outputs tp divides, and of those whose outputs are sums over tp.
void add_biases(UnitBuilder& unit, const ModelConfig& config, const std::string& p, int64_t q_width, int64_t kv_width) {
  const int64_t C = config.width;
  const int64_t F = config.feed_forward_width;
  const bool gated = config.activation == ActivationKind::swiglu;
  if (config.attention_bias) unit.vector(p + "self_attn.o_proj.bias", C, Division::replicated);
  if (config.feed_forward_bias) unit.vector(p + "mlp.down_proj.bias", C, Division::replicated);
  if (config.attention_bias) {
    unit.vector(p + "self_attn.q_proj.bias", q_width, Division::rows);
    unit.vector(p + "self_attn.k_proj.bias", kv_width, Division::rows).fused();
    unit.vector(p + "self_attn.v_proj.bias", kv_width, Division::rows).fused();
  }
  if (config.feed_forward_bias) {
    if (gated) unit.vector(p + "mlp.gate_proj.bias", F, Division::rows);
    unit.vector(p + "mlp.up_proj.bias", F, Division::rows).fused(gated);
  }
}

/// Vectors first, so that what tp replicates is one range and what does not decay another. The gate, where there is
/// one, lies before up: one product makes both.
UnitDefinition define_layer(const ModelConfig& config, int64_t layer) {
  const int64_t C = config.width;
  const int64_t F = config.feed_forward_width;
  const int64_t q_width = config.heads * config.head_width;
  const int64_t kv_width = config.kv_heads * config.head_width;
  const bool gated = config.activation == ActivationKind::swiglu;
  const double residual_scale = 1 / std::sqrt(2.0 * static_cast<double>(config.layers));
  const std::string p = "layers." + std::to_string(layer) + ".";
  UnitBuilder unit("layers." + std::to_string(layer), config.initializer_range);
  add_norm(unit, config, p + "input_layernorm");
  add_norm(unit, config, p + "post_attention_layernorm");
  add_biases(unit, config, p, q_width, kv_width);
  unit.matrix(p + "self_attn.q_proj.weight", q_width, C, Division::rows);
  unit.matrix(p + "self_attn.k_proj.weight", kv_width, C, Division::rows).fused();
  unit.matrix(p + "self_attn.v_proj.weight", kv_width, C, Division::rows).fused();
  unit.matrix(p + "self_attn.o_proj.weight", C, q_width, Division::columns, residual_scale);
  if (gated) unit.matrix(p + "mlp.gate_proj.weight", F, C, Division::rows);
  unit.matrix(p + "mlp.up_proj.weight", F, C, Division::rows).fused(gated);
  unit.matrix(p + "mlp.down_proj.weight", C, F, Division::columns, residual_scale);
  return unit.build();
}

UnitDefinition define_embedding(const ModelConfig& config) {
  UnitBuilder unit("embedding", config.initializer_range);
  unit.matrix("embed_tokens.weight", config.vocabulary_size, config.width, Division::rows).vocabulary_table();
  return unit.build();
}

UnitDefinition define_positions(const ModelConfig& config) {
  UnitBuilder unit("positions", config.initializer_range);
  unit.matrix("embed_positions.weight", config.positions, config.width, Division::replicated);
  return unit.build();
}

UnitDefinition define_head(const ModelConfig& config) {
  UnitBuilder unit("head", config.initializer_range);
  add_norm(unit, config, "norm");
  if (!config.tied_embeddings) {
    unit.matrix("lm_head.weight", config.vocabulary_size, config.width, Division::rows).vocabulary_table();
  }
  return unit.build();
}

/// Where parameters that do not decay lie in the owned range, neighbours joined.
std::vector<runtime::ElementRange> undecayed_ranges(const UnitDefinition& definition,
                                                    const parallel::UnitLayout& layout,
                                                    const runtime::ElementRange& owned) {
  std::vector<runtime::ElementRange> ranges;
  bool joins = false;
  for (size_t i = 0; i < layout.parameters.size(); ++i) {
    const parallel::PlacedParameter& parameter = layout.parameters[i];
    const int64_t begin = std::max(parameter.offset, owned.begin);
    const int64_t end = std::min(parameter.offset + parameter.spec.box.elements(), owned.end);
    if (definition.parameters[i].decays || begin >= end) {
      joins = joins && begin >= end && !definition.parameters[i].decays;
      continue;
    }
    if (!joins) ranges.push_back({.begin = begin - owned.begin});
    ranges.back().end = end - owned.begin;
    joins = true;
  }
  return ranges;
}

/// Collects the units of one rank.
class StageBuilder {
 public:
  StageBuilder(const ModelConfig& config, const Execution& execution, const parallel::MeshGroups& groups)
      : rows_multiple_(vocabulary_row_multiple(execution.device)), groups_(groups), config_(config) {}

  size_t add(UnitDefinition definition, bool is_layer = false) {
    std::vector<ParameterSpec> specs;
    for (const ParameterDefinition& parameter : definition.parameters) {
      const auto [tp, rank] = std::pair(groups_.mesh.tp, groups_.at.tp);
      specs.push_back(parameter.is_vocabulary_table
                          ? parallel::divide_vocabulary(parameter.spec, rank, tp, rows_multiple_)
                          : parallel::divide(parameter.spec, rank, tp));
    }
    Unit unit{.definition = std::move(definition), .is_layer = is_layer};
    unit.layout = parallel::lay_out_unit(unit.definition.name, specs, groups_.mesh.dp);
    stage_.specs.push_back(
        {.elements = unit.layout.elements, .rotates = is_layer, .partial_over_tp = unit.layout.by_tokens_elements});
    stage_.units.push_back(std::move(unit));
    return stage_.units.size() - 1;
  }

  void add_chunk(const ChunkPlace& place) {
    ChunkUnits chunk;
    if (place.is_first) {
      chunk.embedding = embedding_ = add(define_embedding(config_));
      if (config_.position == PositionKind::learned) chunk.positions = add(define_positions(config_));
    }
    chunk.first_layer = stage_.units.size();
    for (int64_t i = 0; i < place.layers; ++i) add(define_layer(config_, place.first_layer + i), true);
    if (place.is_last) {
      chunk.head = chunk.head_table = add(define_head(config_));
      if (config_.tied_embeddings) chunk.head_table = embedding_ != kNoUnit ? embedding_ : add_copy();
    }
    chunk.head_gradients = chunk.head_table;
    stage_.chunks.push_back(chunk);
  }

  /// Of a tied output matrix that lies on the embedding's rank.
  void set_head_gradients_apart() {
    if (embedding_ == kNoUnit || stage_.chunks.back().head_table != embedding_) return;
    stage_.chunks.back().head_gradients = stage_.specs.size();
    stage_.specs.push_back({.elements = stage_.specs[embedding_].elements, .gradients_only = true});
  }

  StageUnits build() { return std::move(stage_); }

 private:
  size_t add_copy() {
    const size_t copy = add(define_embedding(config_));
    stage_.units[copy].is_copy = true;
    return copy;
  }

  int64_t rows_multiple_;
  const parallel::MeshGroups& groups_;
  const ModelConfig& config_;
  size_t embedding_ = kNoUnit;
  StageUnits stage_;
};

/// The first 64 bits of the name's XXH3: the identity of a parameter in the random numbers.
uint64_t name_hash(const std::string& name) {
  return runtime::xxh3_128(std::as_bytes(std::span(name))).low;
}

}  // namespace

std::vector<UnitDefinition> define_units(const ModelConfig& config) {
  std::vector<UnitDefinition> units{define_embedding(config)};
  if (config.position == PositionKind::learned) units.push_back(define_positions(config));
  for (int64_t layer = 0; layer < config.layers; ++layer) units.push_back(define_layer(config, layer));
  units.push_back(define_head(config));
  return units;
}

View Unit::part(const View& range, size_t index) const {
  const parallel::PlacedParameter& parameter = layout.parameters.at(index);
  return range.range(parameter.offset, runtime::Shape(std::span<const int64_t>(parameter.spec.box.size)));
}

void check_tensor_parallel(const ModelConfig& config, int tp) {
  const auto check = [&](const std::string& what, int64_t count) {
    if (count % tp == 0) return;
    const auto divides = [&](int64_t t) {
      return config.heads % t == 0 && config.kv_heads % t == 0 && config.feed_forward_width % t == 0;
    };
    int64_t nearest = tp;
    while (!divides(nearest)) --nearest;
    throw runtime::Error(runtime::ErrorKind::usage,
                         "--tensor-parallel " + std::to_string(tp) + " does not divide the model's " +
                             std::to_string(count) + " " + what + " (it has " + std::to_string(config.heads) +
                             " heads, " + std::to_string(config.kv_heads) +
                             " key/value heads); the nearest that does is " + std::to_string(nearest));
  };
  check("heads", config.heads);
  check("key/value heads", config.kv_heads);
  check("feed-forward channels", config.feed_forward_width);
}

StageUnits make_units(const ModelConfig& config, const std::vector<ChunkPlace>& chunks, Purpose purpose,
                      const Execution& execution, const parallel::MeshGroups& groups, runtime::Arena& persistent) {
  check_tensor_parallel(config, groups.mesh.tp);
  StageBuilder builder(config, execution, groups);
  for (const ChunkPlace& chunk : chunks) builder.add_chunk(chunk);
  const bool training = purpose == Purpose::training;
  const int lanes = training ? execution.lanes : 0;
  if (lanes > 0) builder.set_head_gradients_apart();
  StageUnits stage = builder.build();
  stage.options = {.zero_stage = training ? execution.zero_stage : 0,
                   .storage = execution.storage,
                   .training = training,
                   .lanes = lanes};
  const std::vector<parallel::UnitMemory> memory =
      parallel::place_units(stage.specs, stage.options, groups.at.dp, groups.mesh.dp, persistent);
  if (memory.size() > stage.units.size()) stage.tied_head = memory.back();
  for (size_t i = 0; i < stage.units.size(); ++i) {
    Unit& unit = stage.units[i];
    unit.memory = memory[i];
    unit.undecayed = undecayed_ranges(unit.definition, unit.layout, unit.memory.owned);
  }
  return stage;
}

void clear(runtime::Stream& stream, std::vector<Unit>& units) {
  for (const Unit& unit : units) {
    const parallel::UnitMemory& memory = unit.memory;
    for (const View& range : {memory.parameters, memory.masters, memory.parameter_part, memory.gradients,
                              memory.gradient_part, memory.exp_avg, memory.exp_avg_sq}) {
      if (!range.absent()) runtime::fill(stream, range, 0);
    }
  }
}

void round_masters(runtime::Stream& stream, std::vector<Unit>& units) {
  for (const Unit& unit : units) {
    if (unit.memory.has_own_masters()) runtime::cast(stream, unit.memory.masters, unit.memory.parameter_part);
  }
}

namespace {

/// Of the rows (or parts of rows) of a parameter's box that lie in the owned range, each with its elements' numbers in
/// the whole tensor.
void fill_normal_part(runtime::Stream& stream, const runtime::NormalSource& source,
                      const parallel::PlacedParameter& parameter, const parallel::UnitMemory& memory) {
  const ParameterSpec& spec = parameter.spec;
  for (const parallel::CopyRun& run : parallel::copy_runs(parallel::whole(spec.global_shape), spec.box)) {
    const int64_t first = parameter.offset + run.to_begin;
    const int64_t begin = std::max(first, memory.owned.begin);
    const int64_t end = std::min(first + run.elements, memory.owned.end);
    if (begin >= end) continue;
    runtime::fill_normal(stream, source, run.from_begin + (begin - first),
                         memory.masters.rows(begin - memory.owned.begin, end - begin));
  }
}

void fill_constant_part(runtime::Stream& stream, double constant, const parallel::PlacedParameter& parameter,
                        const parallel::UnitMemory& memory) {
  const int64_t begin = std::max(parameter.offset, memory.owned.begin);
  const int64_t end = std::min(parameter.offset + parameter.spec.box.elements(), memory.owned.end);
  if (begin >= end) return;
  runtime::fill(stream, memory.masters.rows(begin - memory.owned.begin, end - begin), constant);
}

}  // namespace

void initialize(runtime::Stream& stream, uint64_t seed, std::vector<Unit>& units) {
  for (Unit& unit : units) {
    for (size_t i = 0; i < unit.definition.parameters.size(); ++i) {
      const ParameterDefinition& parameter = unit.definition.parameters[i];
      if (parameter.standard_deviation == 0) {
        fill_constant_part(stream, parameter.constant, unit.layout.parameters[i], unit.memory);
        continue;
      }
      fill_normal_part(stream,
                       {.seed = seed,
                        .name_hash = name_hash(parameter.spec.name),
                        .standard_deviation = static_cast<float>(parameter.standard_deviation)},
                       unit.layout.parameters[i], unit.memory);
    }
  }
  round_masters(stream, units);
}

}  // namespace trireme::model
