#include "launch/plan_report.h"

#include <algorithm>
#include <array>
#include <boost/json/array.hpp>
#include <cstdio>
#include <map>
#include <utility>
#include <vector>

#include "launch/number_text.h"
#include "launch/profile_table.h"
#include "model/stages.h"
#include "runtime/threads.h"

namespace trireme::launch {
namespace {

namespace json = boost::json;

/// The memory of a rank by what it is for. A total is the sum of these.
struct Category {
  const char* name;
  int64_t bytes;
};
constexpr size_t kCategories = 8;
using Categories = std::array<Category, kCategories>;

Categories categories_of(const LayoutPlan& plan, size_t stage) {
  const model::RankPlan& rank = plan.stages[stage];
  const model::PersistentParts& persistent = rank.persistent;
  return {{{"parameters", persistent.parameters},
           {"gradients", persistent.gradients},
           {"optimizer", persistent.optimizer},
           {"buffers", persistent.pipeline + persistent.rest},
           {"activations", rank.memory.slot_bytes()},
           {"scratch", rank.memory.scratch_bytes},
           {"staging", rank.staging_bytes},
           {"reserve", plan.reserve_bytes}}};
}

constexpr const char* kLegend =
    "parameters   weights as layers read them; with bf16 the fp32 masters are under optimizer\n"
    "optimizer    Adam's two moments, and masters\n"
    "buffers      whole layers in passing (ZeRO 2 and 3), activations between stages\n"
    "activations  what the microbatches in flight keep from forward to backward\n"
    "scratch      temporaries inside of one action\n"
    "staging      what messages are added up in, outside of the plan\n"
    "reserve      what libraries take for themselves, by the calibration\n";

std::string padded(const std::string& text, int width) {
  std::array<char, 128> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%*s", width, text.c_str());
  return buffer.data();
}

int width_of(const char* head) {
  return std::max(10, static_cast<int>(std::string(head).size()) + 1);
}

std::string memory_row(const std::string& stage, const Categories& categories, int64_t total_bytes) {
  std::string text = padded(stage, -7);
  for (const auto& [name, bytes] : categories) text += padded(bytes_text(bytes), width_of(name));
  return text + padded(bytes_text(total_bytes), 10) + "\n";
}

bool same_memory(const LayoutPlan& plan, size_t a, size_t b) {
  const Categories of_a = categories_of(plan, a);
  const Categories of_b = categories_of(plan, b);
  return std::ranges::equal(of_a, of_b, {}, &Category::bytes, &Category::bytes);
}

/// A row for stages that follow each other and need the same.
std::string memory_table(const LayoutPlan& plan) {
  std::string text = "memory of a rank\nstage  ";
  for (const auto& [name, bytes] : categories_of(plan, 0)) text += padded(name, width_of(name));
  text += padded("total", 10) + "\n";
  for (size_t first = 0; first < plan.stages.size();) {
    size_t end = first + 1;
    while (end < plan.stages.size() && same_memory(plan, first, end)) ++end;
    const std::string stage = std::to_string(first) + (end - first > 1 ? "-" + std::to_string(end - 1) : "");
    text += memory_row(stage, categories_of(plan, first), plan.needed_bytes(first));
    first = end;
  }
  return text + "\n" + kLegend;
}

std::string meaning_of_axis(const std::string& axis) {
  static const std::map<std::string, std::string> kMeanings{{"tp", "tensor parallel"},
                                                            {"dp", "data parallel"},
                                                            {"pp", "pipeline"},
                                                            {"tied", "the token table of first and last stage"}};
  return kMeanings.at(axis);
}

std::string message_table(const LayoutPlan& plan) {
  parallel::SentMessages most;
  for (const model::RankPlan& stage : plan.stages) {
    for (const auto& [axis, ops] : stage.sent) {
      for (const auto& [op, total] : ops) {
        runtime::CommTotal& known = most[axis][op];
        if (total.messages > 0 && total.bytes >= known.bytes) known = total;
      }
    }
  }
  std::string text;
  for (const auto& [axis, ops] : most) {
    for (const auto& [op, total] : ops) {
      if (total.messages == 0) continue;  // received
      text += padded(axis, -7) + padded(op, -16) + padded(grouped(total.calls), 9) +
              padded(grouped(total.messages), 12) + padded(bytes_text(total.bytes), 11) + "  " + meaning_of_axis(axis) +
              "\n";
    }
  }
  if (text.empty()) return "messages: none, there is one rank\n";
  return std::string("sent by a rank in a step") + (plan.stages.size() > 1 ? ", the most of any stage\n" : "\n") +
         padded("axis", -7) + padded("op", -16) + padded("calls", 9) + padded("messages", 12) + padded("bytes", 11) +
         "\n" + text;
}

const model::RankPlan& busiest(const LayoutPlan& plan) {
  return *std::ranges::max_element(plan.stages, {}, &model::RankPlan::flops);
}

std::string percent(double part) {
  return fixed_text(100 * part, 1) + "%";
}

std::string flops_text(int64_t flops) {
  const auto value = static_cast<double>(flops);
  return value < 1e12 ? fixed_text(value / 1e9, 2) + " Gflop" : fixed_text(value / 1e12, 2) + " Tflop";
}

std::string seconds_text(double seconds) {
  return time_text(std::max(seconds, 0.0));
}

std::string time_lines(const PlannedTraining& training, const LayoutPlan& plan) {
  const parallel::StepTime& time = plan.time;
  const double peak = peak_flops_per_second(training.calibration, training.storage());
  const double flops_per_token = model::flops_per_token(training.config, training.sequence_length);
  const int ranks = plan.layout.mesh.world_size();
  std::string split = "compute " + seconds_text(time.compute_seconds);
  for (const auto& [name, seconds] : {std::pair{"tp messages", time.tp_seconds},
                                      {"bubble", time.bubble_seconds},
                                      {"dp messages", time.dp_seconds},
                                      {"update", time.update_seconds}}) {
    if (seconds > 0) split += " + " + std::string(name) + " " + seconds_text(seconds);
  }
  return "step      " + seconds_text(time.step_seconds) + " = " + split + "\ntokens/s  " +
         fixed_text(plan.tokens_per_second, 1) + " = " + grouped(training.tokens_per_step()) +
         " tokens of all ranks / step\nmfu       " + percent(plan.mfu) + " = " +
         mfu_formula(flops_per_token, peak, ranks) + "\nhfu       " + percent(plan.hfu) +
         " = flops of the ops, recomputation included / step / " + rate_text(peak, "flop") +
         ", the mean of all ranks\n";
}

std::string work_lines(const PlannedTraining& training, const LayoutPlan& plan, const PlanSources& sources) {
  const model::RankPlan& most = busiest(plan);
  std::string text = "work      " + flops_text(most.flops) + " of a rank in a step" +
                     (plan.stages.size() > 1 ? ", the most of any stage" : "");
  if (most.recomputed_flops > 0) text += "; " + flops_text(most.recomputed_flops) + " of it computed again";
  text += "\n";
  if (plan.layout.mesh.pp > 1) {
    text += "bubble    " + percent(plan.time.bubble_fraction) + " of all stages' time is waiting for others" +
            (plan.has_time() ? "" : ", if all actions take as long") + "\n";
  }
  if (plan.has_time()) {
    const runtime::Calibration& calibration = training.calibration;
    return text + time_lines(training, plan) + "times by calibration " + sources.calibration + ", " +
           counted(ranks_per_node(calibration), "rank") + " a machine: " +
           (calibration.source.empty()
                ? "measured on " + calibration.processor + " with " + counted(calibration.threads, "thread") + " a rank"
                : calibration.source) +
           "\n";
  }
  return text + "time      not known: --calibration FILE says what the machine can do (trireme bench --calibrate)\n";
}

bool on_cpu(const PlannedTraining& training) {
  return training.device() == runtime::Device::cpu;
}

std::string fit_line(const PlannedTraining& training, const LayoutPlan& plan) {
  const std::string needed = bytes_text(plan.needed_bytes());
  if (!training.options.device_memory) return "needs " + needed + " a rank at most\n";
  const std::string limit = number_text(*training.options.device_memory) + " GB of --device-memory";
  return (fits(training, plan) ? "fits: needs " : "does not fit: needs ") + needed + " a rank at most, of the " +
         limit + "\n";
}

json::object sent_json(const parallel::SentMessages& sent) {
  json::object axes;
  for (const auto& [axis, ops] : sent) {
    json::object of_axis;
    for (const auto& [op, total] : ops) {
      of_axis[op] = json::object{{"calls", total.calls}, {"messages", total.messages}, {"bytes", total.bytes}};
    }
    axes[axis] = std::move(of_axis);
  }
  return axes;
}

json::object stage_json(const PlannedTraining& training, const LayoutPlan& plan, size_t stage) {
  const model::RankPlan& rank = plan.stages[stage];
  json::object bytes;
  for (const auto& [name, count] : categories_of(plan, stage)) bytes[name] = count;
  bytes["total"] = plan.needed_bytes(stage);
  json::array slots;
  for (const runtime::SlotPlan& slot : rank.memory.slots) {
    slots.push_back(json::object{{"count", slot.count}, {"bytes", slot.bytes}});
  }
  json::array layers;
  const model::Execution execution =
      execution_of(training.options, plan.layout, training.device(), training.sequence_length);
  for (const model::ChunkPlace& chunk : model::chunks_of_stage(
           training.config, model::stages_of(plan.layout.mesh, execution), static_cast<int>(stage))) {
    layers.push_back(chunk.layers);
  }
  return {{"layers", std::move(layers)},
          {"ranks", plan.layout.mesh.tp * plan.layout.mesh.dp},
          {"bytes", std::move(bytes)},
          {"planned_bytes",
           {{"persistent", rank.memory.persistent_bytes},
            {"slots", rank.memory.slot_bytes()},
            {"scratch", rank.memory.scratch_bytes}}},
          {"slots", std::move(slots)},
          {"sent", sent_json(rank.sent)},
          {"flops", rank.flops},
          {"recomputed_flops", rank.recomputed_flops}};
}

json::object time_json(const parallel::StepTime& time) {
  return {{"step_seconds", time.step_seconds}, {"compute_seconds", time.compute_seconds},
          {"tp_seconds", time.tp_seconds},     {"bubble_seconds", time.bubble_seconds},
          {"dp_seconds", time.dp_seconds},     {"update_seconds", time.update_seconds}};
}

/// null where it is not known.
json::value known(bool is_known, double value) {
  return is_known ? json::value(value) : json::value();
}

}  // namespace

bool fits(const PlannedTraining& training, const LayoutPlan& plan) {
  const std::optional<double>& limit_gb = training.options.device_memory;
  return !limit_gb || plan.needed_bytes() <= static_cast<int64_t>(*limit_gb * 1e9);
}

std::string plan_table(const PlannedTraining& training, const LayoutPlan& plan, const PlanSources& sources) {
  const TrainOptions& options = training.options;
  const auto parameters = static_cast<double>(model::parameter_count(training.config));
  const model::Execution execution = execution_of(options, plan.layout, training.device(), training.sequence_length);
  std::string text = options.model + ": " + fixed_text(parameters / 1e6, 2) + " M parameters, " +
                     grouped(training.tokens_per_step()) + " tokens a step, " + options.precision + ", recompute " +
                     options.recompute + ", on " + std::string(runtime::name(training.device())) +
                     (on_cpu(training) ? " x " + counted(runtime::compute_threads(), "thread") : "") + "\n";
  if (!sources.vocabulary.empty()) {
    text += "vocabulary " + std::to_string(training.config.vocabulary_size) + ": " + sources.vocabulary + "\n";
  }
  text += ranks_text(plan.layout, training.config, execution) + "\n\n";
  text += memory_table(plan) + "\n" + message_table(plan) + "\n" + work_lines(training, plan, sources) + "\n";
  return text + fit_line(training, plan);
}

json::object plan_json(const PlannedTraining& training, const LayoutPlan& plan, const PlanSources& sources) {
  const TrainOptions& options = training.options;
  json::array stages;
  for (size_t stage = 0; stage < plan.stages.size(); ++stage) stages.push_back(stage_json(training, plan, stage));
  const bool has_time = plan.has_time();
  return {{"model", options.model},
          {"parameters", model::parameter_count(training.config)},
          {"vocabulary_size", training.config.vocabulary_size},
          {"sequence_length", training.sequence_length},
          {"tokens_per_step", training.tokens_per_step()},
          {"precision", options.precision},
          {"recompute", options.recompute},
          {"device", runtime::name(training.device())},
          {"threads", on_cpu(training) ? json::value(runtime::compute_threads()) : json::value()},
          {"ranks", plan.layout.mesh.world_size()},
          {"ranks_per_node", ranks_per_node(training.calibration)},
          {"layout", layout_json(plan.layout)},
          {"microbatch_size", plan.layout.microbatch_size},
          {"microbatches", plan.layout.microbatches},
          {"calibration", sources.calibration.empty() ? json::value() : json::value(sources.calibration)},
          {"needed_bytes", plan.needed_bytes()},
          {"device_memory_bytes",
           options.device_memory ? json::value(static_cast<int64_t>(*options.device_memory * 1e9)) : json::value()},
          {"fits", fits(training, plan)},
          {"stages", std::move(stages)},
          {"bubble_fraction", plan.time.bubble_fraction},
          {"time", has_time ? json::value(time_json(plan.time)) : json::value()},
          {"tokens_per_second", known(has_time, plan.tokens_per_second)},
          {"mfu", known(has_time, plan.mfu)},
          {"hfu", known(has_time, plan.hfu)}};
}

}  // namespace trireme::launch
