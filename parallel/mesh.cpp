#include "parallel/mesh.h"

#include <string>

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

MeshGroups make_groups(const Mesh& mesh, runtime::Communicator& world) {
  const MeshCoordinates at = coordinates(mesh, world.rank(), world.size());
  MeshGroups groups;
  groups.tp = mesh.tp == 1 ? runtime::solo_communicator() : world.split(at.pp * mesh.dp + at.dp, at.tp, "tp");
  groups.dp = mesh.dp == 1 ? runtime::solo_communicator() : world.split(at.pp * mesh.tp + at.tp, at.dp, "dp");
  return groups;
}

MeshGroups dry_groups(const Mesh& mesh) {
  const auto group = [](int size, const char* name) {
    return size == 1 ? runtime::solo_communicator() : runtime::dry_communicator({.rank = 0, .size = size, .name = name});
  };
  return {.tp = group(mesh.tp, "tp"), .dp = group(mesh.dp, "dp")};
}

}  // namespace trireme::parallel
