#include "launch/memory_plans.h"

#include <algorithm>
#include <optional>
#include <sstream>

#include "checkpoint/snapshot.h"
#include "launch/number_text.h"
#include "runtime/error.h"
#include "runtime/host_name.h"

namespace trireme::launch {
namespace {

using runtime::Error;
using runtime::ErrorKind;

/// What CUDA and cuBLASLt take for themselves as a run goes on (code that is loaded late, recorded graphs, operands to
/// time products with): by the sizes of those, not measured.
constexpr int64_t kGpuReserveBytes = int64_t{2} << 30;

/// What may make a plan smaller, of what is not chosen yet. `plan` is the largest of a machine, `room_bytes` what each
/// of its ranks could have.
std::string advice(const TrainingSettings& settings, const RankPlan& plan, int64_t room_bytes) {
  const model::Execution& execution = settings.execution;
  const std::string zero = settings.layout.mesh.dp > 1 && execution.zero_stage < 3 ? "--zero-stage 3, or " : "";
  if (plan.persistent_bytes > room_bytes) {
    return "parameters and optimizer alone need " + bytes_text(plan.persistent_bytes) + " a rank: choose " + zero +
           "more of --tensor-parallel or --pipeline-parallel, or a smaller --model";
  }
  std::string text = "lower --microbatch-size or --sequence-length, ";
  if (execution.recompute != model::Recompute::full) text += "choose --recompute full, ";
  if (execution.storage != runtime::DType::bf16) text += "choose --precision bf16, ";
  return text + "or choose " + zero + "a smaller --model";
}

/// A checkpoint is loaded into a GPU through a copy in host memory: parameters and both moments. (Saving takes what
/// share_snapshot_memory finds.)
void check_host_memory(const TrainingSettings& settings) {
  const int64_t needed_bytes = 12 * model::parameter_count(settings.config);
  const std::optional<int64_t> available_bytes = runtime::available_memory_bytes(runtime::Device::cpu);
  if (!available_bytes || needed_bytes <= *available_bytes) return;
  throw Error(ErrorKind::usage, "checkpoints of this model need " + bytes_text(needed_bytes) +
                                    " of this machine's memory beside the GPU's, " + bytes_text(*available_bytes) +
                                    " are free: choose a smaller --model");
}

}  // namespace

std::vector<RankPlan> gather_plans(runtime::Communicator& world, const runtime::MemoryPlan& plan) {
  std::ostringstream mine;
  mine << plan.persistent_bytes << ' ' << plan.slot_bytes() << ' ' << plan.scratch_bytes << ' ' << runtime::host_name();
  std::vector<RankPlan> plans;
  for (const std::string& text : runtime::all_gather_bytes(world, mine.str())) {
    std::istringstream words(text);
    RankPlan one;
    words >> one.persistent_bytes >> one.slot_bytes >> one.scratch_bytes >> one.host;
    plans.push_back(std::move(one));
  }
  return plans;
}

const RankPlan& largest(const std::vector<RankPlan>& plans) {
  return *std::ranges::max_element(plans, {}, &RankPlan::total_bytes);
}

void check_memory(const TrainingSettings& settings, const std::vector<RankPlan>& plans, int rank) {
  std::vector<RankPlan> here;
  int64_t needed_bytes = 0;
  for (const RankPlan& plan : plans) {
    if (plan.host != plans.at(static_cast<size_t>(rank)).host) continue;
    here.push_back(plan);
    needed_bytes += plan.total_bytes();
  }
  const bool on_gpu = settings.execution.device == runtime::Device::cuda;
  if (on_gpu) needed_bytes += kGpuReserveBytes;
  const std::optional<int64_t> available_bytes = runtime::available_memory_bytes(settings.execution.device);
  if (available_bytes && needed_bytes > *available_bytes) {
    const std::string where = on_gpu ? " of memory on the GPU (" + bytes_text(kGpuReserveBytes) + " for CUDA itself), "
                                     : " of memory on this machine, ";
    const int64_t room_bytes = *available_bytes / static_cast<int64_t>(here.size());
    throw Error(ErrorKind::usage, "the plan needs " + bytes_text(needed_bytes) + where + bytes_text(*available_bytes) +
                                      " are free; " + advice(settings, largest(here), room_bytes));
  }
  if (on_gpu) check_host_memory(settings);
}

int64_t share_snapshot_memory(runtime::Communicator& world, int64_t wanted_bytes, std::optional<double> asked_gb) {
  constexpr int64_t kSmallestBytes = checkpoint::Snapshot::kSmallestBytes;
  constexpr double kMostOfFree = 0.9;
  const int64_t asked_bytes = asked_gb ? static_cast<int64_t>(*asked_gb * 1e9) : wanted_bytes;
  const int64_t bytes = std::min(wanted_bytes, std::max(asked_bytes, kSmallestBytes));

  world.barrier().wait();  // all have taken what they planned
  const std::optional<int64_t> free_bytes = runtime::available_memory_bytes(runtime::Device::cpu);
  int64_t needed_bytes = 0;
  const std::string here = runtime::host_name();
  for (const std::string& text : runtime::all_gather_bytes(world, std::to_string(bytes) + " " + here)) {
    std::istringstream words(text);
    int64_t other_bytes = 0;
    std::string host;
    words >> other_bytes >> host;
    if (host == here) needed_bytes += other_bytes;
  }
  if (!free_bytes || static_cast<double>(needed_bytes) <= kMostOfFree * static_cast<double>(*free_bytes)) return bytes;
  if (asked_gb) {
    throw Error(ErrorKind::usage, "--snapshot-memory " + number_text(*asked_gb) + ": the ranks of this machine need " +
                                      bytes_text(needed_bytes) + " of it, " + bytes_text(*free_bytes) +
                                      " are free beside the plan; lower it, or leave it out for what there is");
  }
  const double part = kMostOfFree * static_cast<double>(*free_bytes) / static_cast<double>(needed_bytes);
  return std::min(bytes, std::max(kSmallestBytes, static_cast<int64_t>(part * static_cast<double>(bytes))));
}

}  // namespace trireme::launch
