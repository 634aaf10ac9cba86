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
  UnitBuilder& fused() {
    unit_.parameters.back().spec.fused_with_previous = true;
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

UnitDefinition define_layer(const ModelConfig& config, int64_t layer) {
  const int64_t C = config.width;
  const int64_t F = config.feed_forward_width;
  const int64_t q_width = config.heads * config.head_width;
  const int64_t kv_width = config.kv_heads * config.head_width;
  const double residual_scale = 1 / std::sqrt(2.0 * static_cast<double>(config.layers));
  const std::string p = "layers." + std::to_string(layer) + ".";
  UnitBuilder unit("layers." + std::to_string(layer), config.initializer_range);
  unit.vector(p + "input_layernorm.weight", C, 1).vector(p + "input_layernorm.bias", C, 0);
  unit.matrix(p + "self_attn.q_proj.weight", q_width, C);
  unit.matrix(p + "self_attn.k_proj.weight", kv_width, C).fused();
  unit.matrix(p + "self_attn.v_proj.weight", kv_width, C).fused();
  unit.vector(p + "self_attn.q_proj.bias", q_width, 0);
  unit.vector(p + "self_attn.k_proj.bias", kv_width, 0).fused();
  unit.vector(p + "self_attn.v_proj.bias", kv_width, 0).fused();
  unit.matrix(p + "self_attn.o_proj.weight", C, q_width, residual_scale).vector(p + "self_attn.o_proj.bias", C, 0);
  unit.vector(p + "post_attention_layernorm.weight", C, 1).vector(p + "post_attention_layernorm.bias", C, 0);
  unit.matrix(p + "mlp.up_proj.weight", F, C).vector(p + "mlp.up_proj.bias", F, 0);
  unit.matrix(p + "mlp.down_proj.weight", C, F, residual_scale).vector(p + "mlp.down_proj.bias", C, 0);
  return unit.build();
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
  units.push_back(UnitBuilder("embedding", config.initializer_range)
                      .matrix("embed_tokens.weight", V, C)
                      .matrix("embed_positions.weight", config.positions, C)
                      .build());
  for (int64_t layer = 0; layer < config.layers; ++layer) units.push_back(define_layer(config, layer));
  UnitBuilder head("head", config.initializer_range);
  head.vector("norm.weight", C, 1).vector("norm.bias", C, 0);
  if (!config.tied_embeddings) head.matrix("lm_head.weight", V, C);
  units.push_back(head.build());
  return units;
}

View Unit::part(const View& range, size_t index) const {
  const parallel::PlacedParameter& parameter = layout.parameters.at(index);
  return range.range(parameter.offset, runtime::Shape(std::span<const int64_t>(parameter.spec.box.size)));
}

std::vector<Unit> make_units(const ModelConfig& config, int64_t dp, Purpose purpose, runtime::Arena& persistent) {
  std::vector<Unit> units;
  for (UnitDefinition& definition : define_units(config)) {
    std::vector<ParameterSpec> specs;
    for (const ParameterDefinition& parameter : definition.parameters) specs.push_back(parameter.spec);
    Unit unit{.definition = definition, .layout = parallel::lay_out_unit(definition.name, specs, dp)};
    const runtime::Shape shape{unit.layout.elements};
    unit.parameters = persistent.allocate(DType::fp32, shape);
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
    for (const View& range : {unit.parameters, unit.gradients, unit.exp_avg, unit.exp_avg_sq}) {
      if (!range.absent()) runtime::fill(stream, range, 0);
    }
  }
}

void initialize(runtime::Stream& stream, uint64_t seed, std::vector<Unit>& units) {
  for (Unit& unit : units) {
    for (size_t i = 0; i < unit.definition.parameters.size(); ++i) {
      const ParameterDefinition& parameter = unit.definition.parameters[i];
      const View values = unit.part(unit.parameters, i);
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
}

}  // namespace trireme::model
