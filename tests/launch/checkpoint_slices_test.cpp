#include "launch/checkpoint_slices.h"

#include <gtest/gtest.h>

#include <map>

#include "checkpoint/coverage.h"
#include "model/stages.h"
#include "parallel/mesh.h"
#include "runtime/arena.h"

namespace trireme::launch {
namespace {

struct Case {
  parallel::Mesh mesh;
  int zero_stage = 0;
  int virtual_stages = 1;
  bool tied = true;
};

std::vector<Case> cases() {
  std::vector<Case> all;
  for (const bool tied : {true, false}) {
    for (const int zero_stage : {0, 1, 2, 3}) {
      for (const parallel::Mesh mesh : {parallel::Mesh{},
                                        {.dp = 2},
                                        {.dp = 5},
                                        {.tp = 2},
                                        {.pp = 2},
                                        {.pp = 3},
                                        {.tp = 2, .dp = 3},
                                        {.dp = 2, .pp = 2},
                                        {.tp = 2, .dp = 2, .pp = 2}}) {
        all.push_back({.mesh = mesh, .zero_stage = zero_stage, .tied = tied});
      }
      all.push_back({.mesh = {.tp = 2, .dp = 2, .pp = 2}, .zero_stage = zero_stage, .virtual_stages = 2, .tied = tied});
    }
  }
  return all;
}

/// An odd vocabulary and fewer K/V heads than heads.
model::ModelConfig config_of(const Case& one) {
  model::ModelConfig config;
  config.layers = 4;
  config.heads = 4;
  config.kv_heads = 2;
  config.width = 24;
  config.head_width = 6;
  config.feed_forward_width = 40;
  config.positions = 10;
  config.vocabulary_size = 61;
  config.tied_embeddings = one.tied;
  return config;
}

/// The units of a rank in dry memory.
std::vector<model::Unit> units_of(const Case& one, const parallel::MeshGroups& groups) {
  const model::ModelConfig config = config_of(one);
  runtime::Arena arena = runtime::Arena::dry("units");
  return model::make_units(
             config, model::chunks_of_stage(config, {.count = one.mesh.pp, .chunks = one.virtual_stages}, groups.at.pp),
             model::Purpose::training, {.zero_stage = one.zero_stage, .virtual_stages = one.virtual_stages}, groups,
             arena)
      .units;
}

std::string text_of(const Case& one) {
  return "tp " + std::to_string(one.mesh.tp) + " dp " + std::to_string(one.mesh.dp) + " pp " +
         std::to_string(one.mesh.pp) + " ZeRO " + std::to_string(one.zero_stage) + " chunks " +
         std::to_string(one.virtual_stages) + (one.tied ? " tied" : "");
}

TEST(CheckpointSlices, EveryElementIsSavedByOneRankInEveryLayout) {
  for (const Case& one : cases()) {
    std::map<std::pair<std::string, std::string>, checkpoint::StoredTensor> tensors;
    checkpoint::Manifest manifest;
    for (int rank = 0; rank < one.mesh.world_size(); ++rank) {
      const parallel::MeshGroups groups = parallel::dry_groups(one.mesh, rank);
      const RankSlices held = rank_slices(units_of(one, groups), Contents::training, groups.at);
      const int zero_stage = one.mesh.dp == 1 ? 0 : one.zero_stage;
      for (const size_t i : written_slices(held, one.mesh, groups.at, zero_stage)) {
        const checkpoint::TensorSlice& slice = held.slices[i];
        EXPECT_EQ(slice.data.elements(), slice.box.elements());
        tensors[{slice.name, slice.kind}] = {slice.name, slice.kind, slice.data.dtype, slice.global_shape};
        manifest.slices.push_back(
            {.tensor = slice.name, .kind = slice.kind, .box = slice.box, .bytes = slice.data.bytes()});
      }
    }
    int64_t elements = 0;
    for (const auto& [key, tensor] : tensors) {
      manifest.tensors.push_back(tensor);
      elements += parallel::whole(tensor.global_shape).elements();
    }
    EXPECT_EQ(elements, 3 * model::parameter_count(config_of(one))) << text_of(one);
    EXPECT_EQ(checkpoint::coverage_problems(manifest), std::vector<std::string>()) << text_of(one);
  }
}

TEST(CheckpointSlices, ARankLoadsAllThatItOwns) {
  for (const Case& one : cases()) {
    for (int rank = 0; rank < one.mesh.world_size(); ++rank) {
      const parallel::MeshGroups groups = parallel::dry_groups(one.mesh, rank);
      const std::vector<model::Unit> units = units_of(one, groups);
      int64_t owned = 0;  // without padding
      for (const model::Unit& unit : units) {
        for (const auto& [spec, offset] : unit.layout.parameters) {
          const int64_t begin = std::max(offset, unit.memory.owned.begin);
          const int64_t end = std::min(offset + spec.box.elements(), unit.memory.owned.end);
          owned += std::max<int64_t>(0, end - begin);
        }
      }
      for (const Contents contents : {Contents::parameters, Contents::training}) {
        int64_t loaded = 0;
        for (const auto& slice : rank_slices(units, contents, groups.at).slices) loaded += slice.box.elements();
        EXPECT_EQ(loaded, owned * (contents == Contents::training ? 3 : 1)) << text_of(one) << " rank " << rank;
      }
    }
  }
}

TEST(CheckpointSlices, ReplicasAreDealtOutEvenly) {
  const Case one{.mesh = {.dp = 4}};
  std::vector<int64_t> bytes;
  for (int rank = 0; rank < 4; ++rank) {
    const parallel::MeshGroups groups = parallel::dry_groups(one.mesh, rank);
    const RankSlices held = rank_slices(units_of(one, groups), Contents::training, groups.at);
    bytes.push_back(0);
    for (const size_t i : written_slices(held, one.mesh, groups.at, 0)) bytes.back() += held.slices[i].data.bytes();
  }
  const auto [least, most] = std::ranges::minmax(bytes);
  EXPECT_LE(most - least, 61 * 24 * 4) << "the largest tensor";
}

}  // namespace
}  // namespace trireme::launch
