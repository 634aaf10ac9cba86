#include "launch/slurm/node_memory.h"

#include <algorithm>

#include "checkpoint/snapshot.h"
#include "launch/layout_plan.h"
#include "launch/memory_plans.h"

namespace trireme::launch {
namespace {

/// What a rank takes outside of its plan (runtime/README.md): the program with its libraries, MPI's and OpenBLAS's
/// memory, staging of its groups (8 MiB each), threads' stacks, batches, HDF5. Measured: 70 MB alone (gpt2-124m).
constexpr int64_t kBesidePlanBytes = 300'000'000;
/// The same with a GPU: CUDA's context, its libraries' code and pinned buffers; an estimate.
constexpr int64_t kBesideGpuBytes = 4'000'000'000;

int64_t snapshot_bytes(const TrainOptions& options, int64_t saved_bytes) {
  constexpr int64_t kLeast = checkpoint::Snapshot::kSmallestBytes;
  if (options.checkpoint_every == 0) return kLeast;
  const int64_t asked_bytes =
      options.snapshot_memory ? static_cast<int64_t>(*options.snapshot_memory * 1e9) : saved_bytes;
  return std::max(kLeast, std::min(saved_bytes, asked_bytes));
}

}  // namespace

int64_t node_memory_bytes(const TrainingSettings& settings, int ranks_per_node) {
  const parallel::Mesh& mesh = settings.layout.mesh;
  const int64_t saved_bytes = 12 * model::parameter_count(settings.config);  // parameters and two moments, of all ranks
  if (settings.execution.device == runtime::Device::cuda) {
    return kBesideGpuBytes + saved_bytes + snapshot_bytes(settings.options, saved_bytes);
  }
  const LayoutPlan layout =
      plan_memory(planned_training(settings), settings.layout, settings.execution.recompute, kFewMicrobatches);
  int64_t persistent_bytes = 0;  // of all ranks
  for (const model::RankPlan& stage : layout.stages) {
    persistent_bytes += mesh.tp * mesh.dp * stage.memory.persistent_bytes;
  }
  int64_t most_bytes = 0;
  const int ranks = mesh.world_size();
  for (int first = 0; first < ranks; first += ranks_per_node) {
    int64_t bytes = 0;
    for (int rank = first; rank < std::min(first + ranks_per_node, ranks); ++rank) {
      const parallel::MeshCoordinates at = parallel::coordinates(mesh, rank, ranks);
      const runtime::MemoryPlan& plan = layout.stages[static_cast<size_t>(at.pp)].memory;
      // What a rank saves is its part of all, as what it keeps is.
      const double part = static_cast<double>(plan.persistent_bytes) / static_cast<double>(persistent_bytes);
      const auto saved_here = static_cast<int64_t>(part * static_cast<double>(saved_bytes));
      bytes += plan.total_bytes() + snapshot_bytes(settings.options, saved_here) + kBesidePlanBytes;
    }
    most_bytes = std::max(most_bytes, bytes);
  }
  return most_bytes;
}

}  // namespace trireme::launch
