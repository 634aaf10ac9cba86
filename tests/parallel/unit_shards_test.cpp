// Sharded units on ranks that are threads: what gradients and parameters come out as, against sums taken serially; the
// memory against the stated formula; and messages against those of dry ranks.
#include "parallel/unit_shards.h"

#include <chrono>
#include <limits>
#include <thread>

#include <gtest/gtest.h>

#include "runtime/bf16.h"
#include "runtime/local_ranks.h"
#include "tests/parallel/mesh_traffic.h"

namespace trireme::parallel {
namespace {

using runtime::DType;
using runtime::ElementRange;
using runtime::View;

constexpr int kMicrobatches = 3;
constexpr int kSteps = 2;

/// An embedding, layers of different length and a head; lengths fit every dp of the tests.
std::vector<UnitSpec> some_units() {
  constexpr int64_t n = 6 * 64;  // dp 1, 2 and 3
  return {{.elements = 5 * n, .rotates = false, .partial_over_tp = 100},
          {.elements = 2 * n, .rotates = true, .partial_over_tp = 70},
          {.elements = 3 * n, .rotates = true, .partial_over_tp = 0},
          {.elements = n, .rotates = true, .partial_over_tp = n},
          {.elements = 2 * n, .rotates = true, .partial_over_tp = 1},
          {.elements = 4 * n, .rotates = true, .partial_over_tp = 64},
          {.elements = n, .rotates = false, .partial_over_tp = 10}};
}

/// Small integers: sums are exact in fp32 in any order, and parameters in bf16.
float gradient(const MeshCoordinates& at, size_t unit, int microbatch, int64_t i) {
  return static_cast<float>((i * 7 + static_cast<int64_t>(unit) * 3) % 23 + 5 * at.dp + 2 * at.tp - 11 * microbatch);
}
float parameter(int step, size_t unit, int64_t i) {
  return static_cast<float>((i * 3 + static_cast<int64_t>(unit) * 17 + step * 41) % 256);
}

float gradient_sum(const MeshGroups& groups, const UnitSpec& spec, size_t unit, int64_t i) {
  float sum = 0;
  for (int microbatch = 0; microbatch < kMicrobatches; ++microbatch) {
    for (int dp = 0; dp < groups.mesh.dp; ++dp) {
      for (int tp = 0; tp < groups.mesh.tp; ++tp) {
        if (i < spec.partial_over_tp || tp == groups.at.tp) sum += gradient({tp, dp, 0}, unit, microbatch, i);
      }
    }
  }
  return sum;
}

/// Reads and writes both storages; views of dry ranks hold nothing.
float element(const View& view, int64_t i) {
  return view.dtype == DType::bf16 ? static_cast<float>(view.as<runtime::bf16>()[i]) : view.as<float>()[i];
}
template <typename Values>
void write(const View& view, const Values& values) {
  if (view.data == nullptr) return;
  for (int64_t i = 0; i < view.elements(); ++i) {
    if (view.dtype == DType::bf16) {
      view.as<runtime::bf16>()[i] = values(i);
    } else {
      view.as<float>()[i] = values(i);
    }
  }
}
template <typename Values>
void expect_equal(const View& view, const Values& values, const char* what) {
  if (view.data == nullptr) return;
  for (int64_t i = 0; i < view.elements(); ++i) {
    if (element(view, i) == values(i)) continue;
    ADD_FAILURE() << what << " " << i << ": " << element(view, i) << ", expected " << values(i);
    return;
  }
}

/// One rank's units and what a training does with them.
class Rank {
 public:
  Rank(MeshGroups& groups, const UnitMemoryOptions& options, runtime::Device device)
      : groups_(groups),
        options_(options),
        stream_(device),
        arena_(device == runtime::Device::dry ? runtime::Arena::dry("units") : runtime::Arena::host("units", 1 << 20)),
        memory_(place_units(specs_, options, groups.at.dp, groups.mesh.dp, arena_)),
        shards_(specs_, memory_, options, stream_, groups) {
    stream_.on_dispatch([&groups] { groups.dp->progress(); });
  }

  void train() {
    update(0);
    for (int step = 0; step < kSteps; ++step) {
      for (int microbatch = 0; microbatch < kMicrobatches; ++microbatch) {
        // A hint may be wrong, or name a unit that would lie in the buffer in use.
        const size_t ahead = microbatch == 1 ? 2 : 1;
        for (size_t unit = 0; unit < specs_.size(); ++unit) use(step, unit, unit + ahead);
        for (size_t unit = specs_.size(); unit-- > 0;) {
          use(step, unit, unit == 0 ? UnitShards::kNone : unit - 1);
          backward(unit, microbatch);
        }
      }
      shards_.finish_gradients();
      check_gradients();
      update(step + 1);
    }
    for (size_t unit = specs_.size(); unit-- > 0;) use(kSteps, unit, UnitShards::kNone);
    shards_.finish_gradients();
  }

  const std::vector<UnitMemory>& memory() const { return memory_; }
  int64_t used_bytes() const { return arena_.used_bytes(); }

 private:
  int stage(size_t unit) const { return zero_stage_of(specs_[unit], options_, groups_.mesh.dp); }

  /// The parameters stay right for as long as a layer computes, whatever arrives meanwhile.
  void use(int step, size_t unit, size_t next) {
    shards_.read(unit, next < specs_.size() ? next : UnitShards::kNone);
    const auto expected = [&](int64_t i) { return parameter(step, unit, i); };
    expect_equal(memory_[unit].parameters, expected, "parameter");
    groups_.dp->progress();
    if (memory_[unit].parameters.data != nullptr && (unit + static_cast<size_t>(groups_.at.dp)) % 3 == 0) {
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
    groups_.dp->progress();
    expect_equal(memory_[unit].parameters, expected, "parameter, later");
  }

  void backward(size_t unit, int microbatch) {
    // In two parts, as in a zero-bubble schedule.
    for (const int part : {0, 1}) {
      shards_.begin_gradients(unit);
      const View& gradients = memory_[unit].gradients;
      write(gradients, [&](int64_t i) {
        return element(gradients, i) + (i % 2 == part ? gradient(groups_.at, unit, microbatch, i) : 0);
      });
      shards_.end_gradients(unit, microbatch == kMicrobatches - 1 && part == 1);
    }
  }

  void check_gradients() {
    for (size_t unit = 0; unit < specs_.size(); ++unit) {
      const int64_t begin = memory_[unit].owned.begin;
      const auto expected = [&](int64_t i) { return gradient_sum(groups_, specs_[unit], unit, begin + i); };
      expect_equal(memory_[unit].gradient_part, expected, "gradient");
    }
  }

  /// Writes what this rank owns, and spoils what must not be used any more.
  void update(int step) {
    for (size_t unit = 0; unit < specs_.size(); ++unit) {
      const UnitMemory& memory = memory_[unit];
      const auto value = [&](int64_t i) { return parameter(step, unit, memory.owned.begin + i); };
      if (step == 0) write(memory.gradients, [](int64_t) { return 0.F; });
      write(memory.gradient_part, [](int64_t) { return 0.F; });
      if (stage(unit) == 1)
        expect_equal(
            memory.gradients, [](int64_t) { return 0.F; }, "gradient of the next step");
      write(memory.parameters, [](int64_t) { return std::numeric_limits<float>::quiet_NaN(); });
      if (stage(unit) >= 2) write(memory.gradients, [](int64_t) { return std::numeric_limits<float>::quiet_NaN(); });
      write(memory.masters, value);
      if (memory.has_own_masters()) write(memory.parameter_part, value);
    }
    shards_.parameters_changed();
  }

  const std::vector<UnitSpec> specs_ = some_units();
  MeshGroups& groups_;
  UnitMemoryOptions options_;
  runtime::Stream stream_;
  runtime::Arena arena_;
  std::vector<UnitMemory> memory_;
  UnitShards shards_;
};

std::vector<UnitMemoryOptions> all_options() {
  std::vector<UnitMemoryOptions> all;
  for (const DType storage : {DType::fp32, DType::bf16}) {
    for (int stage = 0; stage <= 3; ++stage) all.push_back({.zero_stage = stage, .storage = storage});
  }
  return all;
}

TEST(UnitShards, StepsOfEveryStageAreThoseOfSerialSums) {
  for (const Mesh& mesh : {Mesh{1, 1, 1}, Mesh{1, 2, 1}, Mesh{1, 3, 1}, Mesh{2, 1, 1}, Mesh{2, 2, 1}, Mesh{2, 3, 1}}) {
    for (const UnitMemoryOptions& options : all_options()) {
      SCOPED_TRACE(described(mesh) + ", stage " + std::to_string(options.zero_stage));
      const runtime::MessageOptions messages{.chunk_bytes = 512};
      const auto body = [&](runtime::Communicator& world) {
        MeshGroups groups = make_groups(mesh, world);
        Rank rank(groups, options, runtime::Device::cpu);
        rank.train();

        MeshGroups planned = dry_groups(mesh, world.rank(), messages);
        Rank dry(planned, options, runtime::Device::dry);
        dry.train();
        expect_same_traffic(planned, groups);
        EXPECT_EQ(dry.used_bytes(), rank.used_bytes());
        if (mesh.dp == 1) {
          EXPECT_TRUE(groups.dp->totals().empty());
        }
      };
      runtime::run_local_ranks(mesh.world_size(), body, messages);
    }
  }
}

/// What one step sends per rank of dp, by the docstrings of UnitShards.
int64_t stated_bytes(const UnitMemoryOptions& options, int64_t dp) {
  const int64_t s = runtime::size_bytes(options.storage);
  int64_t bytes = 0;
  for (const UnitSpec& spec : some_units()) {
    const int stage = zero_stage_of(spec, options, static_cast<int>(dp));
    const int64_t moved = spec.elements * (dp - 1) / dp;
    if (stage == 0) bytes += 2 * 4 * moved;
    if (stage == 1) bytes += (4 + s) * moved;
    if (stage == 2) bytes += (kMicrobatches * 4 + s) * moved;
    if (stage == 3) bytes += kMicrobatches * (4 + 2 * s) * moved;
  }
  return bytes;
}

TEST(UnitShards, SendWhatTheySay) {
  for (const UnitMemoryOptions& options : all_options()) {
    MeshGroups groups = dry_groups({.dp = 3}, 1);
    const std::vector<UnitSpec> specs = some_units();
    runtime::Arena arena = runtime::Arena::dry("units");
    runtime::Stream stream(runtime::Device::dry);
    const std::vector<UnitMemory> memory = place_units(specs, options, 1, 3, arena);
    UnitShards shards(specs, memory, options, stream, groups);
    for (int microbatch = 0; microbatch < kMicrobatches; ++microbatch) {
      for (size_t unit = 0; unit < specs.size(); ++unit) shards.read(unit);
      // The last layer is there still, and so is the one before it.
      for (size_t unit = specs.size(); unit-- > 0;) {
        shards.read(unit);
        shards.begin_gradients(unit);
        shards.end_gradients(unit, microbatch == kMicrobatches - 1);
      }
    }
    shards.finish_gradients();
    shards.parameters_changed();
    int64_t bytes = 0;
    for (const auto& [op, total] : groups.dp->totals()) bytes += total.bytes;
    int64_t spared = 0;
    if (options.zero_stage == 3) {  // also unit 1 and 2, where a microbatch ends and the next one begins
      const int64_t kept = kMicrobatches * (specs[5].elements + specs[4].elements) +
                           (kMicrobatches - 1) * (specs[1].elements + specs[2].elements);
      spared = kept * 2 / 3 * runtime::size_bytes(options.storage);
    }
    EXPECT_EQ(bytes, stated_bytes(options, 3) - spared) << "stage " << options.zero_stage;
  }
}

/// The formula of place_units().
int64_t stated_memory(const UnitMemoryOptions& options, int64_t dp) {
  const int64_t s = runtime::size_bytes(options.storage);
  const int64_t o = options.storage == DType::bf16 ? 4 : 0;
  const std::vector<UnitSpec> specs = some_units();
  int64_t bytes = 0;
  for (const UnitSpec& spec : specs) {
    const int64_t n = spec.elements;
    const int stage = zero_stage_of(spec, options, static_cast<int>(dp));
    if (!options.training) {
      bytes += (s + o) * n;
    } else if (stage == 0) {
      bytes += (s + o + 12) * n;
    } else if (stage == 1) {
      bytes += (s + 4) * n + (o + 8) * n / dp;
    } else if (stage == 2) {
      bytes += s * n + (o + 12) * n / dp;
    } else {
      bytes += (s + o + 12) * n / dp;
    }
  }
  // Units 1, 3 and 5 share one buffer, 2 and 4 the other.
  const int64_t shared = specs[5].elements + specs[2].elements;
  if (options.training && dp > 1 && options.zero_stage >= 2) bytes += 4 * shared;
  if (options.training && dp > 1 && options.zero_stage == 3) bytes += s * shared;
  return bytes;
}

TEST(UnitMemory, IsTheStatedFormula) {
  for (UnitMemoryOptions options : all_options()) {
    for (const bool training : {true, false}) {
      options.training = training;
      for (const int dp : {1, 2, 3}) {
        runtime::Arena arena = runtime::Arena::dry("units");
        place_units(some_units(), options, dp - 1, dp, arena);
        // In bf16 an owned part of an odd multiple of 64 elements ends between two addresses of the arena.
        const int64_t gaps_bytes = options.storage == DType::bf16 ? 5 * 128 : 0;
        EXPECT_GE(arena.used_bytes(), stated_memory(options, dp));
        EXPECT_LE(arena.used_bytes(), stated_memory(options, dp) + gaps_bytes)
            << "stage " << options.zero_stage << ", dp " << dp << ", training " << training;
      }
    }
  }
}

TEST(UnitMemory, OwnedRangesAreEqualAndCoverTheUnit) {
  for (const int dp : {1, 2, 3, 8}) {
    int64_t end = 0;
    for (int rank = 0; rank < dp; ++rank) {
      const ElementRange owned = owned_range(dp * 640, 1, rank, dp);
      EXPECT_EQ(owned.begin, end);
      EXPECT_EQ(owned.end - owned.begin, 640);
      end = owned.end;
      EXPECT_EQ(owned_range(dp * 640, 0, rank, dp).end, dp * 640);
    }
    EXPECT_EQ(end, dp * 640);
  }
}

TEST(UnitMemory, MastersArePartsOfFp32Parameters) {
  runtime::Arena arena = runtime::Arena::host("units", 1 << 20);
  const std::vector<UnitMemory> units = place_units(some_units(), {.zero_stage = 1}, 1, 2, arena);
  for (const UnitMemory& unit : units) {
    EXPECT_FALSE(unit.has_own_masters());
    EXPECT_EQ(unit.masters.data, unit.parameters.as<float>() + unit.parameters.elements() / 2);
    EXPECT_EQ(unit.gradient_part.data, unit.gradients.as<float>() + unit.gradients.elements() / 2);
  }
}

}  // namespace
}  // namespace trireme::parallel
