#include "model/parameters.h"

#include <cmath>

#include "runtime/digest.h"
#include "runtime/ops/elementwise.h"

namespace trireme::model {

using parallel::ParameterSpec;
using runtime::DType;
using runtime::View;

namespace {

/// Collects the definitions of one unit.
class UnitBuilder {
 public:
  UnitBuilder(std::string name, double standard_deviation)
      : unit_{std::move(name), {}}, standard_deviation_(standard_deviation) {}

  UnitBuilder& matrix(const std::string& name, int64_t rows, int64_t columns, double scale = 1) {
    return add({.spec = spec(name, {rows, columns}), .standard_deviation = standard_deviation_ * scale});
  }
  UnitBuilder& vector(const std::string& name, int64_t size, double constant) {
    return add({.spec = spec(name, {size}), .constant = constant, .decays = false});
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
  static ParameterSpec spec(const std::string& name, const std::vector<int64_t>& shape) {
    return {.name = name, .global_shape = shape, .box = parallel::whole(shape)};
  }
  UnitBuilder& add(ParameterDefinition definition) {
    unit_.parameters.push_back(std::move(definition));
    return *this;
  }

  UnitDefinition unit_;
  double standard_deviation_;
};

void add_norm(UnitBuilder& unit, const ModelConfig& config, const std::string& name) {
  unit.vector(name + ".weight", config.width, 1);
  if (config.norm == NormKind::layer_norm) unit.vector(name + ".bias", config.width, 0);
}

/// The gate, where there is one, lies before up: one product makes both.
void add_feed_forward(UnitBuilder& unit, const ModelConfig& config, const std::string& p, double residual_scale) {
  const int64_t C = config.width;
  const int64_t F = config.feed_forward_width;
  const bool gated = config.activation == ActivationKind::swiglu;
  if (gated) unit.matrix(p + "gate_proj.weight", F, C);
  unit.matrix(p + "up_proj.weight", F, C).fused(gated);
  if (config.feed_forward_bias) {
    if (gated) unit.vector(p + "gate_proj.bias", F, 0);
    unit.vector(p + "up_proj.bias", F, 0).fused(gated);
  }
  unit.matrix(p + "down_proj.weight", C, F, residual_scale);
  if (config.feed_forward_bias) unit.vector(p + "down_proj.bias", C, 0);
}

UnitDefinition define_layer(const ModelConfig& config, int64_t layer) {
  const int64_t C = config.width;
  const int64_t q_width = config.heads * config.head_width;
  const int64_t kv_width = config.kv_heads * config.head_width;
  const double residual_scale = 1 / std::sqrt(2.0 * static_cast<double>(config.layers));
  const std::string p = "layers." + std::to_string(layer) + ".";
  UnitBuilder unit("layers." + std::to_string(layer), config.initializer_range);
  add_norm(unit, config, p + "input_layernorm");
  unit.matrix(p + "self_attn.q_proj.weight", q_width, C);
  unit.matrix(p + "self_attn.k_proj.weight", kv_width, C).fused();
  unit.matrix(p + "self_attn.v_proj.weight", kv_width, C).fused();
  if (config.attention_bias) {
    unit.vector(p + "self_attn.q_proj.bias", q_width, 0);
    unit.vector(p + "self_attn.k_proj.bias", kv_width, 0).fused();
    unit.vector(p + "self_attn.v_proj.bias", kv_width, 0).fused();
  }
  unit.matrix(p + "self_attn.o_proj.weight", C, q_width, residual_scale);
  if (config.attention_bias) unit.vector(p + "self_attn.o_proj.bias", C, 0);
  add_norm(unit, config, p + "post_attention_layernorm");
  add_feed_forward(unit, config, p + "mlp.", residual_scale);
  return unit.build();
}

/// Where parameters that do not decay lie, neighbours joined.
std::vector<runtime::ElementRange> undecayed_ranges(const UnitDefinition& definition,
                                                    const parallel::UnitLayout& layout) {
  std::vector<runtime::ElementRange> ranges;
  bool joins = false;
  for (size_t i = 0; i < layout.parameters.size(); ++i) {
    const parallel::PlacedParameter& parameter = layout.parameters[i];
    if (definition.parameters[i].decays) {
      joins = false;
      continue;
    }
    const int64_t end = parameter.offset + parameter.spec.box.elements();
    if (!joins) ranges.push_back({.begin = parameter.offset});
    ranges.back().end = end;
    joins = true;
  }
  return ranges;
}

/// The first 64 bits of the name's XXH3: the identity of a parameter in the random numbers.
uint64_t name_hash(const std::string& name) {
  return runtime::xxh3_128(std::as_bytes(std::span(name))).low;
}

}  // namespace

std::vector<UnitDefinition> define_units(const ModelConfig& config) {
  const int64_t V = config.vocabulary_size;
  const int64_t C = config.width;
  std::vector<UnitDefinition> units;
  UnitBuilder embedding("embedding", config.initializer_range);
  embedding.matrix("embed_tokens.weight", V, C).vocabulary_table();
  if (config.position == PositionKind::learned) embedding.matrix("embed_positions.weight", config.positions, C);
  units.push_back(embedding.build());
  for (int64_t layer = 0; layer < config.layers; ++layer) units.push_back(define_layer(config, layer));
  UnitBuilder head("head", config.initializer_range);
  add_norm(head, config, "norm");
  if (!config.tied_embeddings) head.matrix("lm_head.weight", V, C).vocabulary_table();
  units.push_back(head.build());
  return units;
}

View Unit::part(const View& range, size_t index) const {
  const parallel::PlacedParameter& parameter = layout.parameters.at(index);
  return range.range(parameter.offset, runtime::Shape(std::span<const int64_t>(parameter.spec.box.size)));
}

int64_t vocabulary_rows(int64_t V, runtime::Device device) {
  // A row of bf16 logits of an odd width is aligned to 2 bytes: tensor cores want 16 and caches 128.
  constexpr int64_t kGpuMultiple = 64;
  return device == runtime::Device::cuda ? (V + kGpuMultiple - 1) / kGpuMultiple * kGpuMultiple : V;
}

std::vector<Unit> make_units(const ModelConfig& config, int64_t dp, Purpose purpose, const Execution& execution,
                             runtime::Arena& persistent) {
  const int64_t V = config.vocabulary_size;
  const int64_t table_padding = (vocabulary_rows(V, execution.device) - V) * config.width;
  std::vector<Unit> units;
  for (UnitDefinition& definition : define_units(config)) {
    std::vector<ParameterSpec> specs;
    for (const ParameterDefinition& parameter : definition.parameters) {
      specs.push_back(parameter.spec);
      if (parameter.is_vocabulary_table) specs.back().padding = table_padding;
    }
    Unit unit{.definition = definition, .layout = parallel::lay_out_unit(definition.name, specs, dp)};
    unit.undecayed = undecayed_ranges(unit.definition, unit.layout);
    const runtime::Shape shape{unit.layout.elements};
    unit.parameters = persistent.allocate(execution.storage, shape);
    unit.masters = unit.has_own_masters() ? persistent.allocate(DType::fp32, shape) : unit.parameters;
    if (purpose == Purpose::training) {
      unit.gradients = persistent.allocate(DType::fp32, shape);
      unit.exp_avg = persistent.allocate(DType::fp32, shape);
      unit.exp_avg_sq = persistent.allocate(DType::fp32, shape);
    }
    units.push_back(std::move(unit));
  }
  return units;
}

void clear(runtime::Stream& stream, std::vector<Unit>& units) {
  for (const Unit& unit : units) {
    if (unit.has_own_masters()) runtime::fill(stream, unit.masters, 0);
    for (const View& range : {unit.parameters, unit.gradients, unit.exp_avg, unit.exp_avg_sq}) {
      if (!range.absent()) runtime::fill(stream, range, 0);
    }
  }
}

void round_masters(runtime::Stream& stream, std::vector<Unit>& units) {
  for (const Unit& unit : units) {
    if (unit.has_own_masters()) runtime::cast(stream, unit.masters, unit.parameters);
  }
}

void initialize(runtime::Stream& stream, uint64_t seed, std::vector<Unit>& units) {
  for (Unit& unit : units) {
    for (size_t i = 0; i < unit.definition.parameters.size(); ++i) {
      const ParameterDefinition& parameter = unit.definition.parameters[i];
      const View values = unit.part(unit.masters, i);
      if (parameter.standard_deviation == 0) {
        runtime::fill(stream, values, parameter.constant);
      } else {
        const runtime::NormalSource source{.seed = seed,
                                           .name_hash = name_hash(parameter.spec.name),
                                           .standard_deviation = static_cast<float>(parameter.standard_deviation)};
        runtime::fill_normal(stream, source, 0, values.reshaped({values.elements()}));
      }
    }
  }
  round_masters(stream, units);
}

}  // namespace trireme::model
