// Where ranks stand, and the groups that a mesh makes of them: ranks as threads against dry ones.
#include "parallel/mesh.h"

#include <gtest/gtest.h>

#include "runtime/error.h"
#include "runtime/local_ranks.h"
#include "tests/parallel/mesh_traffic.h"

namespace trireme::parallel {
namespace {

TEST(Mesh, CoordinatesRunTensorFirst) {
  const Mesh mesh{.tp = 2, .dp = 3, .pp = 2};
  EXPECT_EQ(coordinates(mesh, 0, 12), (MeshCoordinates{0, 0, 0}));
  EXPECT_EQ(coordinates(mesh, 1, 12), (MeshCoordinates{1, 0, 0}));
  EXPECT_EQ(coordinates(mesh, 5, 12), (MeshCoordinates{1, 2, 0}));
  EXPECT_EQ(coordinates(mesh, 6, 12), (MeshCoordinates{0, 0, 1}));
  EXPECT_EQ(coordinates(mesh, 11, 12), (MeshCoordinates{1, 2, 1}));
}

TEST(Mesh, WrongWorldSizeNamesTheNumbers) {
  try {
    coordinates({.tp = 1, .dp = 3, .pp = 1}, 0, 4);
    FAIL();
  } catch (const runtime::Error& error) {
    EXPECT_STREQ(error.what(),
                 "tensor-parallel 1 x data-parallel 3 x pipeline-parallel 1 is 3 ranks, but 4 were started");
  }
}

/// The world ranks of a group, in its order.
std::vector<int64_t> members(runtime::Communicator& group, int world_rank) {
  int64_t own = world_rank;
  std::vector<int64_t> all(static_cast<size_t>(group.size()));
  group
      .all_gather(runtime::view_of(std::span<int64_t>(&own, 1), {1}),
                  runtime::view_of(std::span<int64_t>(all), {group.size()}))
      .wait();
  return all;
}

/// Every rank of `mesh` that `belongs` says, in the order of the world.
template <typename Belongs>
std::vector<int64_t> ranks_where(const Mesh& mesh, const Belongs& belongs) {
  std::vector<int64_t> ranks;
  for (int rank = 0; rank < mesh.world_size(); ++rank) {
    if (belongs(coordinates(mesh, rank, mesh.world_size()))) ranks.push_back(rank);
  }
  return ranks;
}

TEST(MeshGroups, HoldTheRanksOfTheirAxis) {
  for (const Mesh& mesh : small_meshes()) {
    SCOPED_TRACE(described(mesh));
    const auto body = [&](runtime::Communicator& world) {
      const MeshGroups groups = make_groups(mesh, world);
      const MeshCoordinates at = groups.at;
      EXPECT_EQ(at, coordinates(mesh, world.rank(), world.size()));
      EXPECT_EQ(groups.mesh, mesh);
      const auto same_pipeline = [&](const MeshCoordinates& other) { return other.tp == at.tp && other.dp == at.dp; };
      const auto ends = [&](const MeshCoordinates& other) {
        return same_pipeline(other) && (other.pp == 0 || other.pp == mesh.pp - 1);
      };
      const std::vector<int64_t> pipeline = ranks_where(mesh, same_pipeline);
      const auto of = [&](const auto& group) {
        return group->size() == 1 ? std::vector<int64_t>{world.rank()} : members(*group, world.rank());
      };
      EXPECT_EQ(of(groups.tp), ranks_where(mesh, [&](const auto& b) { return b.dp == at.dp && b.pp == at.pp; }));
      EXPECT_EQ(of(groups.dp), ranks_where(mesh, [&](const auto& b) { return b.tp == at.tp && b.pp == at.pp; }));
      for (const auto* group : {&groups.pp, &groups.pp_forward, &groups.pp_backward}) {
        EXPECT_EQ(of(*group), pipeline);
        EXPECT_EQ((*group)->rank(), at.pp);
      }
      const bool at_an_end = groups.is_first_stage() || groups.is_last_stage();
      EXPECT_EQ(of(groups.tied), at_an_end ? ranks_where(mesh, ends) : std::vector<int64_t>{world.rank()});
    };
    runtime::run_local_ranks(mesh.world_size(), body, {.chunk_bytes = 1024});
  }
}

/// Some of everything that is sent over the groups; sizes that no group divides.
void exchange(const MeshGroups& groups, bool dry) {
  std::vector<float> values(dry ? 0 : 5003);
  const runtime::View view{{values.empty() ? nullptr : values.data(), runtime::DType::fp32, {5003}}};
  for (const auto* group : {&groups.tp, &groups.dp, &groups.pp, &groups.tied}) {
    (*group)->all_reduce(view, runtime::ReduceOp::sum).wait();
  }
  const int64_t part = 1000;
  groups.dp->all_gather(view.range(part * groups.at.dp, {part}), view.range(0, {part * groups.mesh.dp})).wait();
  runtime::Pending sent;
  if (!groups.is_last_stage()) sent = groups.pp_forward->send(view, groups.at.pp + 1);
  std::vector<float> received(values.size());
  const runtime::View to{{received.empty() ? nullptr : received.data(), runtime::DType::fp32, {5003}}};
  if (!groups.is_first_stage()) groups.pp_forward->recv(to, groups.at.pp - 1).wait();
  sent.wait();
}

TEST(MeshGroups, DryOnesCountWhatRealOnesDo) {
  for (const Mesh& mesh : small_meshes()) {
    if (mesh.dp > 5) continue;  // exchange() gathers 1,000 elements of each
    SCOPED_TRACE(described(mesh));
    const runtime::MessageOptions options{.chunk_bytes = 1024};
    const auto body = [&](runtime::Communicator& world) {
      const MeshGroups groups = make_groups(mesh, world);
      exchange(groups, false);
      const MeshGroups dry = dry_groups(mesh, world.rank(), options);
      EXPECT_EQ(dry.at, groups.at);
      exchange(dry, true);
      expect_same_traffic(dry, groups);
    };
    runtime::run_local_ranks(mesh.world_size(), body, options);
  }
}

TEST(MeshGroups, OfAThousandRanksAreMadeDry) {
  const MeshGroups groups = dry_groups({.tp = 8, .dp = 16, .pp = 8}, 1023);
  EXPECT_EQ(groups.at, (MeshCoordinates{7, 15, 7}));
  EXPECT_EQ(groups.tied->size(), 2);
  EXPECT_EQ(groups.tied->rank(), 1);
  EXPECT_EQ(groups.dp->size(), 16);
}

}  // namespace
}  // namespace trireme::parallel
