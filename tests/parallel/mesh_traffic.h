// What the tests of parallel have in common: meshes to run, and the comparison of what their groups counted.
#pragma once

#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "parallel/mesh.h"

namespace trireme::parallel {

/// Every mesh of up to 8 ranks.
inline std::vector<Mesh> small_meshes() {
  std::vector<Mesh> meshes;
  for (int tp = 1; tp <= 8; ++tp) {
    for (int dp = 1; tp * dp <= 8; ++dp) {
      for (int pp = 1; tp * dp * pp <= 8; ++pp) meshes.push_back({.tp = tp, .dp = dp, .pp = pp});
    }
  }
  return meshes;
}

inline std::string described(const Mesh& mesh) {
  return "tp " + std::to_string(mesh.tp) + ", dp " + std::to_string(mesh.dp) + ", pp " + std::to_string(mesh.pp);
}

/// Calls, messages and bytes of every group and op.
inline void expect_same_traffic(const MeshGroups& planned, const MeshGroups& counted) {
  EXPECT_EQ(planned.tp->totals(), counted.tp->totals());
  EXPECT_EQ(planned.dp->totals(), counted.dp->totals());
  EXPECT_EQ(planned.pp->totals(), counted.pp->totals());
  EXPECT_EQ(planned.pp_forward->totals(), counted.pp_forward->totals());
  EXPECT_EQ(planned.pp_backward->totals(), counted.pp_backward->totals());
  EXPECT_EQ(planned.tied->totals(), counted.tied->totals());
  EXPECT_EQ(planned.dp->staging_bytes(), counted.dp->staging_bytes());
}

}  // namespace trireme::parallel
