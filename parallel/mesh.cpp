#include "parallel/mesh.h"

#include <array>
#include <string>
#include <string_view>

#include "runtime/dry_communicator.h"
#include "runtime/error.h"

namespace trireme::parallel {

using runtime::Error;
using runtime::ErrorKind;

MeshCoordinates coordinates(const Mesh& mesh, int rank, int world_size) {
  if (mesh.world_size() != world_size) {
    throw Error(ErrorKind::usage, "tensor-parallel " + std::to_string(mesh.tp) + " x data-parallel " +
                                      std::to_string(mesh.dp) + " x pipeline-parallel " + std::to_string(mesh.pp) +
                                      " is " + std::to_string(mesh.world_size()) + " ranks, but " +
                                      std::to_string(world_size) + " were started");
  }
  return {.tp = rank % mesh.tp, .dp = rank / mesh.tp % mesh.dp, .pp = rank / (mesh.tp * mesh.dp)};
}

namespace {

/// The groups that are split off the world, with more than one rank each, in the order of their splits.
constexpr std::array<std::string_view, 6> kGroupNames = {"tp", "dp", "pp", "pp_forward", "pp_backward", "tied"};

/// What the rank at `at` says when `group` is split off the world.
runtime::SplitChoice choice(const Mesh& mesh, const MeshCoordinates& at, std::string_view group) {
  const int pipeline = at.dp * mesh.tp + at.tp;
  if (group == "tp") return {.color = at.pp * mesh.dp + at.dp, .key = at.tp};
  if (group == "dp") return {.color = at.pp * mesh.tp + at.tp, .key = at.dp};
  const bool at_an_end = at.pp == 0 || at.pp == mesh.pp - 1;
  if (group != "tied" || at_an_end) return {.color = pipeline, .key = at.pp};
  return {.color = at.pp * mesh.dp * mesh.tp + pipeline, .key = 0};  // a stage between: alone
}

}  // namespace

MeshGroups make_groups(const Mesh& mesh, runtime::Communicator& world) {
  MeshGroups groups{.mesh = mesh, .at = coordinates(mesh, world.rank(), world.size())};
  const std::array<std::unique_ptr<runtime::Communicator>*, kGroupNames.size()> places = {
      &groups.tp, &groups.dp, &groups.pp, &groups.pp_forward, &groups.pp_backward, &groups.tied};
  const std::array<int, kGroupNames.size()> sizes = {mesh.tp, mesh.dp, mesh.pp, mesh.pp, mesh.pp, mesh.pp};
  for (size_t group = 0; group < kGroupNames.size(); ++group) {
    if (sizes[group] == 1) {  // of every rank: all agree that there is nothing to split
      *places[group] = runtime::solo_communicator();
      continue;
    }
    const runtime::SplitChoice own = choice(mesh, groups.at, kGroupNames[group]);
    const bool sums = !kGroupNames[group].starts_with("pp_");
    *places[group] = world.split(own.color, own.key, std::string(kGroupNames[group]),
                                 sums ? runtime::GroupUse::sums : runtime::GroupUse::messages);
  }
  return groups;
}

MeshGroups dry_groups(const Mesh& mesh, int rank, const runtime::MessageOptions& options) {
  const int world_size = mesh.world_size();
  const auto rule = [mesh, world_size](int world_rank, const std::string& group) {
    return choice(mesh, coordinates(mesh, world_rank, world_size), group);
  };
  const auto world = runtime::dry_communicator({.rank = rank, .size = world_size}, rule, options);
  return make_groups(mesh, *world);
}

}  // namespace trireme::parallel
