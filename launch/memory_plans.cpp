#include "launch/memory_plans.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <optional>
#include <sstream>

#include "checkpoint/snapshot.h"
#include "launch/memory_advice.h"
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

std::vector<RankMemory> gather_plans(runtime::Communicator& world, const runtime::MemoryPlan& plan,
                                     int64_t staging_bytes) {
  std::ostringstream mine;
  mine << plan.persistent_bytes << ' ' << plan.slot_bytes() << ' ' << plan.scratch_bytes << ' ' << staging_bytes << ' '
       << runtime::host_name();
  std::vector<RankMemory> plans;
  for (const std::string& text : runtime::all_gather_bytes(world, mine.str())) {
    std::istringstream words(text);
    RankMemory one;
    words >> one.persistent_bytes >> one.slot_bytes >> one.scratch_bytes >> one.staging_bytes >> one.host;
    plans.push_back(std::move(one));
  }
  return plans;
}

const RankMemory& largest(const std::vector<RankMemory>& plans) {
  return *std::ranges::max_element(plans, {}, &RankMemory::total_bytes);
}

boost::json::object planned_bytes_json(const std::vector<RankMemory>& plans) {
  const auto of_ranks = [&](int64_t RankMemory::*bytes) {
    boost::json::array all;
    for (const RankMemory& plan : plans) all.emplace_back(plan.*bytes);
    return all;
  };
  return {{"persistent", of_ranks(&RankMemory::persistent_bytes)},
          {"slots", of_ranks(&RankMemory::slot_bytes)},
          {"scratch", of_ranks(&RankMemory::scratch_bytes)},
          {"staging", of_ranks(&RankMemory::staging_bytes)}};
}

PlannedTraining planned_training(const TrainingSettings& settings) {
  PlannedTraining training{.options = settings.options,
                           .config = settings.config,
                           .sequence_length = settings.sequence_length,
                           .calibration = settings.calibration.value_or(runtime::Calibration())};
  const bool on_gpu = settings.execution.device == runtime::Device::cuda;
  training.options.device = on_gpu ? "cuda" : "cpu";  // what auto stood for
  if (on_gpu && training.calibration.reserve_bytes == 0) training.calibration.reserve_bytes = kGpuReserveBytes;
  return training;
}

void check_device_memory(const TrainingSettings& settings, int64_t needed_bytes) {
  if (!settings.options.device_memory) return;
  const auto limit_bytes = static_cast<int64_t>(*settings.options.device_memory * 1e9);
  if (needed_bytes <= limit_bytes) return;
  throw Error(ErrorKind::usage, "the plan needs " + bytes_text(needed_bytes) + " a rank, --device-memory is " +
                                    bytes_text(limit_bytes) + "; " +
                                    memory_advice(planned_training(settings), settings.layout, limit_bytes));
}

void check_memory(const TrainingSettings& settings, const std::vector<RankMemory>& plans, int rank) {
  int64_t most_bytes = 0;
  for (const RankMemory& plan : plans) most_bytes = std::max(most_bytes, plan.total_bytes() + plan.staging_bytes);
  check_device_memory(settings, most_bytes + planned_training(settings).calibration.reserve_bytes);
  std::vector<RankMemory> here;
  int64_t needed_bytes = 0;
  for (const RankMemory& plan : plans) {
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
                                      " are free; " +
                                      memory_advice(planned_training(settings), settings.layout, room_bytes));
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
