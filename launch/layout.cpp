#include "launch/layout.h"

#include "launch/execution_words.h"
#include "launch/layout_checks.h"
#include "launch/number_text.h"
#include "model/stages.h"

namespace trireme::launch {
namespace {

namespace json = boost::json;

/// So many microbatches a stage leave a pipeline idle for less than a fifth of the step.
constexpr int64_t kMicrobatchesOfAStage = 4;

int64_t choose_microbatch_size(const TrainOptions& options, const parallel::Mesh& mesh) {
  if (options.reproducible > 0) return 1;
  if (options.microbatch_size > 0) return options.microbatch_size;
  const int64_t share = options.global_batch_size / mesh.dp;
  if (mesh.pp == 1) return share;
  const bool in_groups = options.virtual_stages > 1 && options.pipeline_schedule == "1f1b";
  for (int64_t B = share / (kMicrobatchesOfAStage * mesh.pp); B > 1; --B) {
    if (share % B == 0 && (!in_groups || share / B % mesh.pp == 0)) return B;
  }
  return 1;
}

int64_t number_or(const json::object& object, const char* key, int64_t otherwise) {
  const json::value* value = object.if_contains(key);
  return value != nullptr && value->is_int64() ? value->get_int64() : otherwise;
}

/// "7 + 5 layers, balance 0.987"
std::string layers_text(const model::ModelConfig& model, const model::Stages& stages) {
  std::string text;
  for (int stage = 0; stage < stages.count; ++stage) {
    int64_t layers = 0;
    for (const model::ChunkPlace& chunk : model::chunks_of_stage(model, stages, stage)) layers += chunk.layers;
    text += (text.empty() ? "" : " + ") + std::to_string(layers);
  }
  return text + " layers, balance " + fixed_text(model::cut_balance(model, stages), 3);
}

}  // namespace

Layout resolve_layout(const TrainOptions& options, const model::ModelConfig& model, int64_t T, int ranks) {
  check_tensor_parallel(options, model, T, ranks);
  check_stages(options, model, ranks);
  Layout layout{.mesh = check_ranks(options, model, T, ranks)};
  check_batch(options, layout.mesh);
  check_lanes(options, layout.mesh);
  layout.lanes = static_cast<int>(options.reproducible);
  layout.microbatch_size = choose_microbatch_size(options, layout.mesh);
  check_interleaving(options, layout.mesh, layout.microbatch_size);
  layout.microbatches = options.global_batch_size / layout.mesh.dp / layout.microbatch_size;
  layout.zero_stage = layout.mesh.dp == 1 ? 0 : static_cast<int>(options.zero_stage.value_or(1));
  layout.schedule = schedule_of(options.pipeline_schedule, "--pipeline-schedule");
  layout.virtual_stages = static_cast<int>(options.virtual_stages);
  return layout;
}

model::Execution execution_of(const TrainOptions& options, const Layout& layout, runtime::Device device, int64_t T) {
  return {.storage = precision_of(options.precision, "--precision"),
          .recompute = recompute_of(options.recompute, "--recompute"),
          .device = device,
          .zero_stage = layout.zero_stage,
          .schedule = layout.schedule,
          .virtual_stages = layout.virtual_stages,
          .lanes = layout.lanes,
          .cut_tokens = T};
}

std::string ranks_text(const Layout& layout, const model::ModelConfig& model, const model::Execution& execution) {
  std::string text = counted(layout.mesh.world_size(), "rank") + " = " + layout_text(layout_json(layout)) + ", " +
                     counted(layout.microbatches, "microbatch", "microbatches") + " of " +
                     counted(layout.microbatch_size, "sequence");
  if (layout.mesh.pp > 1) text += ", " + layers_text(model, model::stages_of(layout.mesh, execution));
  return text;
}

json::object layout_json(const Layout& layout) {
  return {{"tp", layout.mesh.tp},
          {"dp", layout.mesh.dp},
          {"pp", layout.mesh.pp},
          {"zero_stage", layout.zero_stage},
          {"schedule", parallel::name(layout.schedule)},
          {"virtual_stages", layout.virtual_stages}};
}

std::string layout_text(const json::object& layout) {
  const auto number = [&](const char* key, int64_t otherwise) {
    return std::to_string(number_or(layout, key, otherwise));
  };
  std::string text = "tp " + number("tp", 1) + " x dp " + number("dp", 1) + " x pp " + number("pp", 1) + ", ZeRO " +
                     number("zero_stage", 0);
  const json::value* schedule = layout.if_contains("schedule");
  if (number_or(layout, "pp", 1) == 1 || schedule == nullptr || !schedule->is_string()) return text;
  text += ", " + std::string(schedule->get_string());
  const int64_t chunks = number_or(layout, "virtual_stages", 1);
  return chunks > 1 ? text + " of " + std::to_string(chunks) + " virtual stages" : text;
}

}  // namespace trireme::launch
