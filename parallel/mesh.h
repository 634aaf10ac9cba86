// The mesh of ranks: named axes, innermost first: tp (tensor), dp (data), pp (pipeline). world = tp * dp * pp. The mesh
// knows numbers and groups, not messages.
#pragma once

#include <memory>

#include "runtime/communicator.h"
#include "runtime/message_engine.h"

namespace trireme::parallel {

struct Mesh {
  int tp = 1;
  int dp = 1;
  int pp = 1;

  int world_size() const { return tp * dp * pp; }
  bool operator==(const Mesh&) const = default;
};

struct MeshCoordinates {
  int tp = 0;
  int dp = 0;
  int pp = 0;
  bool operator==(const MeshCoordinates&) const = default;
};

/// Where `rank` stands; throws Error(usage) naming the numbers when the world is not tp * dp * pp.
MeshCoordinates coordinates(const Mesh& mesh, int rank, int world_size);

/// The groups that one rank belongs to. An axis of one rank has a group of one, which costs nothing.
struct MeshGroups {
  Mesh mesh;
  MeshCoordinates at;
  std::unique_ptr<runtime::Communicator> tp;
  std::unique_ptr<runtime::Communicator> dp;
  std::unique_ptr<runtime::Communicator> pp;  ///< a pipeline, in the order of its stages: sums
  // The ranks of pp twice more, for sends and recvs: messages of one direction never queue behind the other's.
  std::unique_ptr<runtime::Communicator> pp_forward;
  std::unique_ptr<runtime::Communicator> pp_backward;
  /// First and last stage, which hold the token table twice when it is tied; of one rank in a pipeline of one stage and
  /// for the stages between.
  std::unique_ptr<runtime::Communicator> tied;

  bool is_first_stage() const { return at.pp == 0; }
  bool is_last_stage() const { return at.pp == mesh.pp - 1; }
};

/// Splits `world`; collective over it. Throws as coordinates() does.
MeshGroups make_groups(const Mesh& mesh, runtime::Communicator& world);

/// The groups of `rank` of such a mesh, dry: messages are counted, not sent, and counted as the real ones of a world
/// with these options are.
MeshGroups dry_groups(const Mesh& mesh, int rank = 0, const runtime::MessageOptions& options = {});

}  // namespace trireme::parallel
