#include "launch/held_tensors.h"

#include <gtest/gtest.h>

namespace trireme::launch {
namespace {

using parallel::Box;

TEST(PartitionFlaw, APartitionHasNone) {
  EXPECT_EQ(partition_flaw({4, 3}, {{{0, 0}, {4, 3}}}), std::nullopt);
  EXPECT_EQ(partition_flaw({4, 3}, {{{2, 0}, {2, 3}}, {{0, 0}, {1, 3}}, {{1, 0}, {1, 3}}}), std::nullopt);
}

TEST(PartitionFlaw, SeveralMayHoldEqualBoxesAndSomeNothing) {
  const Box left{{0, 0}, {4, 1}};
  const Box right{{0, 1}, {4, 2}};
  EXPECT_EQ(partition_flaw({4, 3}, {left, right, left, {{4, 0}, {0, 3}}, right}), std::nullopt);
}

TEST(PartitionFlaw, NamesWhatOverlaps) {
  EXPECT_EQ(partition_flaw({8}, {{{4}, {4}}, {{1}, {4}}}), "[1:5] and [4:8] overlap");
}

TEST(PartitionFlaw, CountsWhatNobodyHolds) {
  EXPECT_EQ(partition_flaw({4, 3}, {{{0, 0}, {3, 3}}}), "3 elements are held by no rank");
  EXPECT_EQ(partition_flaw({3}, {{{1}, {2}}}), "1 element is held by no rank");
  EXPECT_EQ(partition_flaw({3}, {}), "3 elements are held by no rank");
}

TEST(NamedTensors, AreTheModelsParametersWithTheirUnits) {
  model::ModelConfig config;
  config.layers = 2;
  const std::vector<NamedTensor> tensors = named_tensors(config);
  int64_t elements = 0;
  for (const NamedTensor& tensor : tensors) elements += tensor.elements();
  EXPECT_EQ(elements, model::parameter_count(config));
  EXPECT_EQ(tensors.front().unit, 0u);
  EXPECT_EQ(tensors.back().unit, 4u) << "embedding, positions, two layers, head";
}

}  // namespace
}  // namespace trireme::launch
