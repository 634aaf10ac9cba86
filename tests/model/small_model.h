// A small model with everything a test of `model` needs around it: memory by plan, units, random parameters (all of
// them, so that biases and norms are not at special values), random tokens.
#pragma once

#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "model/train_step.h"
#include "parallel/mesh.h"
#include "runtime/memory.h"
#include "tests/reference/transformer.h"

namespace trireme::tests {

/// Odd sizes on purpose: nothing is a multiple of a vector.
inline model::ModelConfig small_config() {
  model::ModelConfig config;
  config.layers = 2;
  config.heads = config.kv_heads = 3;
  config.width = 21;
  config.head_width = 7;
  config.feed_forward_width = 50;
  config.positions = 12;
  config.vocabulary_size = 37;
  return config;
}

struct SmallBatch {
  int64_t B;
  int64_t T;
  std::vector<int32_t> tokens;
  std::vector<int32_t> targets;
  std::vector<int64_t> samples;

  SmallBatch(std::mt19937_64& random, int64_t B_, int64_t T_, int64_t V) : B(B_), T(T_) {
    for (int64_t i = 0; i < B * T; ++i) tokens.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(V)));
    for (int64_t i = 0; i < B * T; ++i) targets.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(V)));
    for (int64_t b = 0; b < B; ++b) samples.push_back(b);
  }
  model::HostMicrobatch host() const {
    return {.B = B, .T = T, .tokens = tokens.data(), .targets = targets.data(), .samples = samples.data()};
  }
};

struct SmallModel {
  runtime::Stream stream{runtime::Device::cpu};
  runtime::Memory memory;
  parallel::MeshGroups groups;
  std::unique_ptr<model::Trainer> trainer;

  SmallModel(const model::ModelConfig& config, const runtime::MemoryPlan& plan, parallel::MeshGroups groups_,
             model::Purpose purpose = model::Purpose::training)
      : memory(runtime::Memory::host(plan)), groups(std::move(groups_)) {
    trainer = model::make_trainer(config, purpose, {}, stream, memory, groups);
    model::initialize(stream, 1, trainer->units);
  }

  /// Every parameter N(0, 0.3), norms around 1.
  void randomize(std::mt19937_64& random) {
    std::normal_distribution<float> normal(0, 0.3f);
    for (model::Unit& unit : trainer->units) {
      for (size_t i = 0; i < unit.layout.parameters.size(); ++i) {
        const runtime::View view = unit.part(unit.parameters, i);
        const auto constant = static_cast<float>(unit.definition.parameters[i].constant);
        for (int64_t e = 0; e < view.elements(); ++e) view.as<float>()[e] = constant + normal(random);
      }
    }
  }

  /// Parameters (or gradients, with &model::Unit::gradients) by name, as doubles.
  Parameters values(runtime::View model::Unit::*range = &model::Unit::parameters) const {
    Parameters result;
    for (const model::Unit& unit : trainer->units) {
      for (size_t i = 0; i < unit.layout.parameters.size(); ++i) {
        const runtime::View view = unit.part(unit.*range, i);
        result[unit.layout.parameters[i].spec.name] = Vector(view.as<float>(), view.as<float>() + view.elements());
      }
    }
    return result;
  }
};

inline parallel::MeshGroups solo_groups() {
  return {runtime::solo_communicator(), runtime::solo_communicator()};
}

}  // namespace trireme::tests
