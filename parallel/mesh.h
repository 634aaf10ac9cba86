// The mesh of ranks: named axes, innermost first: tp (tensor), dp (data), pp (pipeline). world = tp * dp * pp. Today dp
// is the only axis that can be longer than one. The mesh knows numbers, not messages.
#pragma once

#include <memory>

#include "runtime/communicator.h"

namespace trireme::parallel {

struct Mesh {
  int tp = 1;
  int dp = 1;
  int pp = 1;

  int world_size() const { return tp * dp * pp; }
};

struct MeshCoordinates {
  int tp = 0;
  int dp = 0;
  int pp = 0;
  bool operator==(const MeshCoordinates&) const = default;
};

/// Where `rank` stands; throws Error(usage) naming the numbers when the world is not tp * dp * pp.
MeshCoordinates coordinates(const Mesh& mesh, int rank, int world_size);

/// The groups that one rank belongs to.
struct MeshGroups {
  std::unique_ptr<runtime::Communicator> tp;
  std::unique_ptr<runtime::Communicator> dp;
};

/// Splits `world`; collective. A group of one costs nothing.
MeshGroups make_groups(const Mesh& mesh, runtime::Communicator& world);

/// The groups of rank 0 of such a mesh, dry: messages are counted, not sent.
MeshGroups dry_groups(const Mesh& mesh);

}  // namespace trireme::parallel
