#include "launch/memory_plans.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <optional>
#include <sstream>

#include "launch/number_text.h"
#include "runtime/error.h"

namespace trireme::launch {
namespace {

using runtime::Error;
using runtime::ErrorKind;

/// What CUDA and cuBLASLt take for themselves as a run goes on (code that is loaded late, recorded graphs, operands to
/// time products with): by the sizes of those, not measured.
constexpr int64_t kGpuReserveBytes = int64_t{2} << 30;

std::string host_name() {
  std::array<char, 256> buffer{};
  return gethostname(buffer.data(), buffer.size() - 1) == 0 ? buffer.data() : "";
}

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

/// A checkpoint of a model on a GPU goes through a copy in host memory: parameters and both moments.
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
  mine << plan.persistent_bytes << ' ' << plan.slot_bytes() << ' ' << plan.scratch_bytes << ' ' << host_name();
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

}  // namespace trireme::launch
