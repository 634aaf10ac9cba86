// Sums over lanes on ranks that are threads: the bits of one serial tree, whatever the number of ranks and the stage.
#include "parallel/lane_sums.h"

#include <algorithm>
#include <random>

#include <gtest/gtest.h>

#include "parallel/unit_shards.h"
#include "runtime/error.h"
#include "runtime/local_ranks.h"
#include "tests/parallel/mesh_traffic.h"

namespace trireme::parallel {
namespace {

using runtime::View;
using Values = std::vector<float>;

constexpr int kLanes = 8;

/// An embedding, layers, a head and another sum of the embedding's gradients; lengths fit 8 ranks.
std::vector<UnitSpec> some_units() {
  constexpr int64_t n = 8 * 64;
  return {{.elements = 3 * n},
          {.elements = 2 * n, .rotates = true},
          {.elements = n, .rotates = true},
          {.elements = 2 * n, .rotates = true},
          {.elements = n},
          {.elements = 3 * n, .gradients_only = true}};
}

/// Of one sequence, of very different sizes: another order of a sum shows in its bits.
Values gradients_of(size_t unit, int64_t elements, int sequence) {
  std::mt19937_64 random(unit * 1'000 + static_cast<uint64_t>(sequence));
  std::normal_distribution<float> normal;
  Values values(static_cast<size_t>(elements));
  for (float& value : values) value = normal(random) * std::ldexp(1.0F, static_cast<int>(random() % 20));
  return values;
}

void add_to(Values& sum, const Values& values) {
  std::ranges::transform(sum, values, sum.begin(), std::plus<>());
}

/// The tree as its definition has it: lanes [begin, begin + lanes).
Values serial_sum(size_t unit, int64_t elements, int begin, int lanes, int sequences_of_lane) {
  if (lanes > 1) {
    Values left = serial_sum(unit, elements, begin, lanes / 2, sequences_of_lane);
    add_to(left, serial_sum(unit, elements, begin + lanes / 2, lanes / 2, sequences_of_lane));
    return left;
  }
  Values sum(static_cast<size_t>(elements));
  for (int i = 0; i < sequences_of_lane; ++i) {
    add_to(sum, gradients_of(unit, elements, begin * sequences_of_lane + i));
  }
  return sum;
}

void fill(const View& view, float value) {
  if (view.data != nullptr && !view.absent()) std::fill_n(view.as<float>(), view.elements(), value);
}

/// One rank's units through two steps: the second finds what the first left.
class Rank {
 public:
  Rank(MeshGroups& groups, const UnitMemoryOptions& options, runtime::Device device)
      : groups_(groups),
        stream_(device),
        arena_(device == runtime::Device::dry ? runtime::Arena::dry("units") : runtime::Arena::host("units", 1 << 21)),
        memory_(place_units(specs_, options, groups.at.dp, groups.mesh.dp, arena_)),
        shards_(specs_, memory_, options, stream_, groups) {
    for (const UnitMemory& unit : memory_) {
      fill(unit.gradients, 0);
      for (const View& sum : unit.lane_sums) fill(sum, std::numeric_limits<float>::quiet_NaN());
    }
  }

  void step(int sequences) {
    shards_.begin_step(sequences);
    for (int sequence = 0; sequence < sequences; ++sequence) {
      for (size_t unit = specs_.size(); unit-- > 0;) {
        shards_.begin_gradients(unit);
        add_sequence(unit, groups_.at.dp * sequences + sequence);
        shards_.end_gradients(unit, sequence == sequences - 1);
      }
    }
    shards_.finish_gradients();
  }

  void expect_serial_sums(int sequences_of_lane) const {
    for (size_t unit = 0; unit < specs_.size(); ++unit) {
      const Values all = serial_sum(unit, specs_[unit].elements, 0, kLanes, sequences_of_lane);
      const auto begin = all.begin() + memory_[unit].owned.begin;
      const View& part = memory_[unit].gradient_part;
      EXPECT_TRUE(std::equal(begin, begin + part.elements(), part.as<float>())) << "unit " << unit;
      const View& whole = memory_[unit].gradients;
      if (whole.elements() == part.elements()) continue;
      for (int64_t i = 0; i < whole.elements(); ++i) {
        if (i >= memory_[unit].owned.begin && i < memory_[unit].owned.end) continue;
        ASSERT_EQ(whole.as<float>()[i], 0) << "foreign gradient of unit " << unit;
      }
    }
  }

  /// As the update does.
  void clear_owned() const {
    for (const UnitMemory& unit : memory_) fill(unit.gradient_part, 0);
  }

  int64_t used_bytes() const { return arena_.used_bytes(); }

 private:
  void add_sequence(size_t unit, int sequence) const {
    const View& gradients = memory_[unit].gradients;
    if (gradients.data == nullptr) return;
    const Values values = gradients_of(unit, specs_[unit].elements, sequence);
    std::transform(values.begin(), values.end(), gradients.as<float>(), gradients.as<float>(), std::plus<>());
  }

  const std::vector<UnitSpec> specs_ = some_units();
  MeshGroups& groups_;
  runtime::Stream stream_;
  runtime::Arena arena_;
  std::vector<UnitMemory> memory_;
  UnitShards shards_;
};

TEST(LaneSums, AreThoseOfOneTreeForAnyRanksAndStage) {
  for (const int dp : {1, 2, 4, 8}) {
    for (int stage = 0; stage <= 3; ++stage) {
      for (const int sequences_of_lane : {1, 3}) {
        SCOPED_TRACE(testing::Message() << "dp " << dp << ", stage " << stage << ", " << sequences_of_lane
                                        << " a lane");
        const UnitMemoryOptions options{.zero_stage = stage, .lanes = kLanes};
        const runtime::MessageOptions messages{.chunk_bytes = 512};
        runtime::run_local_ranks(
            dp,
            [&](runtime::Communicator& world) {
              MeshGroups groups = make_groups({.dp = dp}, world);
              MeshGroups planned = dry_groups({.dp = dp}, world.rank(), messages);
              Rank rank(groups, options, runtime::Device::cpu);
              Rank dry(planned, options, runtime::Device::dry);
              for (int step = 0; step < 2; ++step) {
                rank.step(kLanes / dp * sequences_of_lane);
                rank.expect_serial_sums(sequences_of_lane);
                rank.clear_owned();
                dry.step(kLanes / dp * sequences_of_lane);
              }
              expect_same_traffic(planned, groups);
              EXPECT_EQ(dry.used_bytes(), rank.used_bytes());
            },
            messages);
      }
    }
  }
}

// Once a step, half of what is sent from stage 1 on; no more than without lanes.
TEST(LaneSums, SendWhatTheySay) {
  int64_t elements = 0;
  for (const UnitSpec& unit : some_units()) elements += unit.elements;
  for (int stage = 0; stage <= 3; ++stage) {
    MeshGroups groups = dry_groups({.dp = 4}, 1);
    Rank rank(groups, {.zero_stage = stage, .lanes = kLanes}, runtime::Device::dry);
    rank.step(3 * kLanes / 4);
    int64_t bytes = 0;
    for (const auto& [op, total] : groups.dp->totals()) bytes += total.bytes;
    EXPECT_EQ(bytes, (stage == 0 ? 2 : 1) * 4 * elements * 3 / 4) << "stage " << stage;
  }
}

/// The formula of place_units(), fp32.
int64_t stated_bytes(int stage, int64_t dp) {
  int64_t bytes = 0;
  int64_t longest[2] = {0, 0};
  size_t rotating = 0;
  for (const UnitSpec& spec : some_units()) {
    const int64_t n = spec.elements;
    const int own_stage = dp == 1 ? 0 : spec.rotates ? stage : std::min(stage, 1);
    bytes += 4 * n * (1 + lane_buffers(kLanes, static_cast<int>(dp)));
    if (spec.gradients_only) continue;
    if (own_stage == 0) bytes += 12 * n;
    if (own_stage == 1 || own_stage == 2) bytes += 4 * n + 8 * n / dp;
    if (own_stage == 3) bytes += 12 * n / dp;
    if (own_stage < 2) continue;
    int64_t& buffer = longest[rotating++ % 2];
    if (own_stage == 3) buffer = std::max(buffer, n);
  }
  return bytes + 4 * (longest[0] + longest[1]);
}

TEST(LaneSums, TakeTheStatedMemory) {
  EXPECT_EQ(lane_buffers(0, 1), 0);
  EXPECT_EQ(lane_buffers(1, 1), 0);
  EXPECT_EQ(lane_buffers(kLanes, 1), 3);
  EXPECT_EQ(lane_buffers(kLanes, 2), 2);
  EXPECT_EQ(lane_buffers(kLanes, 4), 1);
  EXPECT_EQ(lane_buffers(kLanes, 8), 1);  // what other ranks send
  for (const int dp : {1, 2, 4, 8}) {
    for (int stage = 0; stage <= 3; ++stage) {
      runtime::Arena arena = runtime::Arena::dry("units");
      place_units(some_units(), {.zero_stage = stage, .lanes = kLanes}, 0, dp, arena);
      EXPECT_EQ(arena.used_bytes(), stated_bytes(stage, dp)) << "dp " << dp << ", stage " << stage;
    }
  }
}

TEST(LaneSums, RefuseWhatIsNoTreeOfRanks) {
  runtime::Arena arena = runtime::Arena::dry("units");
  EXPECT_THROW(place_units(some_units(), {.lanes = 6}, 0, 2, arena), runtime::Error);
  EXPECT_THROW(place_units(some_units(), {.lanes = 4}, 0, 8, arena), runtime::Error);
  MeshGroups groups = dry_groups({.dp = 2}, 0);
  Rank rank(groups, {.lanes = kLanes}, runtime::Device::dry);
  EXPECT_THROW(rank.step(6), runtime::Error);  // of four lanes
}

}  // namespace
}  // namespace trireme::parallel
