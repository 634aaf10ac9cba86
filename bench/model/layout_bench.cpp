// Training steps of a preset on random tokens in one layout, a rank a process:
//   OMP_NUM_THREADS=1 mpirun -n 2 build/cpu-release/bin/layout_bench [--model gpt2-124m] [--tensor-parallel 1]
//     [--pipeline-parallel 1] [--pipeline-schedule 1f1b|zb-h1|gpipe] [--virtual-stages 1] [--zero-stage 1]
//     [--recompute none|selective|full] [--precision fp32|bf16] [--microbatch-size 1] [--microbatches 1]
//     [--sequence-length 256] [--layers 0] [--lanes 0] [--steps 5] [--warmup 1] [--profile 0|1]
//     [--calibration FILE] [--dry RANKS] [--first-ranks 0|1] [--device cpu|cuda]
// Rank 0 prints one line of JSON. --microbatches are those of a rank in a step; dp is what is left of the ranks. A step
// takes as long as on its slowest rank; tokens/s are those of all ranks by the median step. Warm-up steps have as many
// microbatches as the pipeline has stages: memory is touched before them, so that they matter to the libraries alone.
// --lanes: those of `train --reproducible`, with the same sequences one by one; warm-up steps are then whole ones.
// --model is a preset or a config.json, of which --layers keeps the first ones. --dry plans so many ranks and trains
// nothing; with --first-ranks 1 only the first rank of each stage, as on --device. With --calibration what the layout
// should take is said beside it. bench/layouts.sh and bench/plan.sh say what the numbers are held against.
#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "bench/model/bench_options.h"
#include "bench/model/layout_prediction.h"
#include "model/random_batch.h"
#include "model/rank_plan.h"
#include "parallel/schedule_timeline.h"
#include "runtime/calibration.h"
#include "runtime/files.h"
#include "runtime/flight_recorder.h"
#include "runtime/json.h"
#include "runtime/mpi_session.h"
#include "runtime/program_start.h"
#include "runtime/stopwatch.h"
#include "runtime/threads.h"

namespace trireme::model {
namespace {

namespace json = boost::json;
using runtime::Error;
using runtime::ErrorKind;

BenchOptions parse(int argc, char** argv) {
  return {"layout_bench",
          {{"--model", "gpt2-124m"},
           {"--tensor-parallel", "1"},
           {"--pipeline-parallel", "1"},
           {"--pipeline-schedule", "1f1b"},
           {"--virtual-stages", "1"},
           {"--zero-stage", "1"},
           {"--recompute", "none"},
           {"--precision", "fp32"},
           {"--microbatch-size", "1"},
           {"--microbatches", "1"},
           {"--sequence-length", "256"},
           {"--layers", "0"},
           {"--lanes", "0"},
           {"--steps", "5"},
           {"--warmup", "1"},
           {"--profile", "0"},
           {"--calibration", ""},
           {"--dry", "0"},
           {"--first-ranks", "0"},
           {"--device", "cpu"}},
          argc,
          argv};
}

Execution execution_of(const BenchOptions& options) {
  return {
      .storage = options.choice<runtime::DType>("--precision",
                                                {{"fp32", runtime::DType::fp32}, {"bf16", runtime::DType::bf16}}),
      .recompute = options.choice<Recompute>(
          "--recompute", {{"none", Recompute::none}, {"selective", Recompute::selective}, {"full", Recompute::full}}),
      .device =
          options.choice<runtime::Device>("--device", {{"cpu", runtime::Device::cpu}, {"cuda", runtime::Device::cuda}}),
      .zero_stage = options.choice<int>("--zero-stage", {{"0", 0}, {"1", 1}, {"2", 2}, {"3", 3}}),
      .schedule =
          options.choice<parallel::ScheduleKind>("--pipeline-schedule", {{"gpipe", parallel::ScheduleKind::gpipe},
                                                                         {"1f1b", parallel::ScheduleKind::one_f_one_b},
                                                                         {"zb-h1", parallel::ScheduleKind::zb_h1}}),
      .virtual_stages = static_cast<int>(options.number("--virtual-stages")),
      .lanes = static_cast<int>(options.number("--lanes", 0)),
      .cut_tokens = options.number("--sequence-length")};
}

ModelConfig model_of(const BenchOptions& options) {
  const std::string& model = options.text("--model");
  ModelConfig config =
      model.ends_with(".json")
          ? parse_model_config(runtime::parse_json(runtime::read_text(runtime::real_files(), model)).as_object(), model)
          : preset(model);
  if (config.vocabulary_size == 0) config.vocabulary_size = 256;  // bytes
  if (const int64_t layers = options.number("--layers", 0); layers > 0) config.layers = layers;
  return config;
}

StepLayout layout_of(const BenchOptions& options, int64_t ranks) {
  StepLayout layout{.config = model_of(options),
                    .execution = execution_of(options),
                    .mesh = {.tp = static_cast<int>(options.number("--tensor-parallel")),
                             .dp = 1,
                             .pp = static_cast<int>(options.number("--pipeline-parallel"))},
                    .shape = {.B = options.number("--microbatch-size"),
                              .T = options.number("--sequence-length"),
                              .microbatches = options.number("--microbatches")}};
  if (ranks % layout.mesh.world_size() != 0) {
    throw options.wrong("--tensor-parallel " + options.text("--tensor-parallel") + " x --pipeline-parallel " +
                        options.text("--pipeline-parallel") + " does not divide " + std::to_string(ranks) + " ranks");
  }
  layout.mesh.dp = static_cast<int>(ranks) / layout.mesh.world_size();
  if (layout.execution.lanes > 0) layout.shape.microbatches *= std::exchange(layout.shape.B, 1);
  if (layout.shape.T > layout.config.positions) {
    throw options.wrong("--sequence-length is " + options.text("--sequence-length") + ", the model has " +
                        std::to_string(layout.config.positions) + " positions");
  }
  return layout;
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

/// Resident memory of this process at its largest, as the kernel counts it (VmHWM), in bytes.
int64_t largest_resident_bytes() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    int64_t kilobytes = 0;
    if (word == "VmHWM:" && status >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}

/// Bytes by axis, seconds by op.
template <typename Value>
json::object to_json(const std::map<std::string, Value>& values) {
  json::object object;
  for (const auto& [name, value] : values) object[name] = value;
  return object;
}

json::object to_json(const RankPlan& plan) {
  json::array slots;
  for (const runtime::SlotPlan& slot : plan.memory.slots) {
    slots.push_back(json::object{{"count", slot.count}, {"bytes", slot.bytes}});
  }
  return {{"tp", plan.at.tp},
          {"dp", plan.at.dp},
          {"pp", plan.at.pp},
          {"planned_bytes", plan.memory.total_bytes()},
          {"persistent_bytes", plan.memory.persistent_bytes},
          {"slot_bytes", plan.memory.slot_bytes()},
          {"scratch_bytes", plan.memory.scratch_bytes},
          {"slots", slots},
          {"parameter_bytes", plan.persistent.parameters},
          {"gradient_bytes", plan.persistent.gradients},
          {"optimizer_bytes", plan.persistent.optimizer},
          {"pipeline_bytes", plan.persistent.pipeline},
          {"rest_bytes", plan.persistent.rest},
          {"staging_bytes", plan.staging_bytes},
          {"planned_sent_bytes", to_json(bytes_by_axis(plan.sent))},
          {"flops", plan.flops}};
}

/// What one rank measured, step by step.
struct Measured {
  std::vector<double> step_seconds;
  std::vector<StepTimes> times;
  std::map<std::string, int64_t> sent;  ///< in all steps
  int64_t ticks = 0;                    ///< of the flight recorder, in all steps
  int64_t calls = 0;                    ///< of communicators that other ranks have a part in, in all steps
  double loss = 0;
  runtime::OpProfile profile;
};

double median_of(const std::vector<StepTimes>& times, double StepTimes::*part) {
  std::vector<double> seconds;
  for (const StepTimes& step : times) seconds.push_back(step.*part);
  return median(seconds);
}

json::object to_json(const Measured& measured) {
  std::map<std::string, int64_t> sent = measured.sent;
  for (auto& [axis, bytes] : sent) bytes /= static_cast<int64_t>(measured.step_seconds.size());
  json::array seconds(measured.step_seconds.begin(), measured.step_seconds.end());
  json::object object{{"step_seconds", seconds},
                      {"forward_seconds", median_of(measured.times, &StepTimes::forward_seconds)},
                      {"backward_seconds", median_of(measured.times, &StepTimes::backward_seconds)},
                      {"wait_seconds", median_of(measured.times, &StepTimes::reduce_seconds)},
                      {"update_seconds", median_of(measured.times, &StepTimes::update_seconds)},
                      {"sent_bytes", to_json(sent)},
                      {"recorder_ticks", measured.ticks / static_cast<int64_t>(seconds.size())},
                      {"recorder_calls", measured.calls / static_cast<int64_t>(seconds.size())}};
  json::object ops;
  for (const runtime::OpProfile::Row& row : measured.profile.rows()) {
    json::value& total = ops[row.op];
    total = (total.is_null() ? 0 : total.as_double()) + row.seconds / static_cast<double>(seconds.size());
  }
  if (!ops.empty()) object["op_seconds"] = ops;
  return object;
}

/// Microbatches of this rank: those of its place in dp.
std::vector<std::unique_ptr<RandomBatch>> make_batches(const StepLayout& layout, int dp_rank) {
  std::vector<std::unique_ptr<RandomBatch>> batches;
  for (int64_t i = 0; i < layout.shape.microbatches; ++i) {
    batches.push_back(std::make_unique<RandomBatch>(dp_rank * layout.shape.microbatches + i + 1, layout.shape.B,
                                                    layout.shape.T, layout.config.vocabulary_size));
  }
  return batches;
}

struct StepCount {
  int64_t warmup = 1;
  int64_t measured = 5;
  bool profiled = false;
};

/// Steps follow each other as in training: what one leaves in flight is the next one's to wait for.
Measured run_steps(Trainer& trainer, const StepLayout& layout, const StepCount& count, runtime::Communicator& world) {
  const auto batches = make_batches(layout, trainer.groups.at.dp);
  std::vector<HostMicrobatch> microbatches;
  for (const auto& batch : batches) microbatches.push_back(batch->view);
  const bool has_lanes = layout.execution.lanes > 0;
  const auto warm =
      has_lanes ? microbatches.size() : std::min<size_t>(microbatches.size(), static_cast<size_t>(layout.mesh.pp));
  Measured measured;
  parallel::SentMessages before;
  runtime::RankFlight flight_before;
  const auto flight = [&] { return world.recorder() == nullptr ? runtime::RankFlight() : world.recorder()->flight(); };
  runtime::Stopwatch watch;
  for (int64_t step = 0; step < count.warmup + count.measured; ++step) {
    const bool counts = step >= count.warmup;
    if (step == count.warmup) {
      if (count.profiled) trainer.stream.profile_into(&measured.profile);
      before = sent_messages(trainer.groups);
      world.barrier().wait();
      flight_before = flight();
      watch.lap();
    }
    const StepResult result =
        train_step(trainer, std::span(microbatches).first(counts ? microbatches.size() : warm), {.update = step + 1});
    if (!result.updated()) throw Error(ErrorKind::internal, "layout_bench: the loss is not finite");
    measured.loss = result.loss;
    if (!counts) continue;
    measured.step_seconds.push_back(watch.lap());
    measured.times.push_back(result.times);
  }
  measured.ticks = flight().count - flight_before.count;
  measured.calls = runtime::entered_calls(flight()) - runtime::entered_calls(flight_before);
  trainer.stream.profile_into(nullptr);
  measured.sent = bytes_by_axis(difference(sent_messages(trainer.groups), before));
  return measured;
}

/// Trains on this rank and says what came of it.
json::object train(const BenchOptions& options, const StepLayout& layout, const RankPlan& plan,
                   runtime::Communicator& world) {
  const StepCount count{.warmup = options.number("--warmup", 0),
                        .measured = options.number("--steps"),
                        .profiled = options.number("--profile", 0) > 0};
  const int64_t resident_before = largest_resident_bytes();
  runtime::Stream stream(layout.execution.device);
  runtime::Memory memory = runtime::Memory::on(layout.execution.device, plan.memory);
  parallel::MeshGroups groups = parallel::make_groups(layout.mesh, world);
  const auto trainer = make_trainer(layout.config, Purpose::training, layout.execution, stream, memory, groups);
  initialize(stream, 1, trainer->units);
  trainer->shards.parameters_changed();
  const Measured measured = run_steps(*trainer, layout, count, world);
  json::object object = to_json(measured);
  object["loss"] = measured.loss;
  object["resident_before_bytes"] = resident_before;
  object["resident_bytes"] = largest_resident_bytes();
  return object;
}

/// What the layout says before it runs: the cut, its balance and the schedule's bubble, all chunks alike.
json::object describe(const BenchOptions& options, const StepLayout& layout) {
  const parallel::Mesh& mesh = layout.mesh;
  const int virtual_stages = layout.execution.virtual_stages;
  json::array layers;
  const Stages stages = stages_of(mesh, layout.execution);
  for (const ChunkPlace& place : cut_model(layout.config, stages)) layers.push_back(place.layers);
  return {{"model", options.text("--model")},
          {"ranks", mesh.world_size()},
          {"tensor_parallel", mesh.tp},
          {"data_parallel", mesh.dp},
          {"pipeline_parallel", mesh.pp},
          {"pipeline_schedule", options.text("--pipeline-schedule")},
          {"virtual_stages", virtual_stages},
          {"zero_stage", layout.execution.zero_stage},
          {"lanes", layout.execution.lanes},
          {"recompute", options.text("--recompute")},
          {"precision", options.text("--precision")},
          {"microbatch_size", layout.shape.B},
          {"microbatches", layout.shape.microbatches},
          {"sequence_length", layout.shape.T},
          {"layers", layers},
          {"balance", cut_balance(layout.config, stages)},
          {"bubble", parallel::simulate(schedule_of(layout), parallel::PipelineTimes{}).bubble_fraction()}};
}

/// A step ends when its slowest rank does.
void add_speed(json::object& result, const StepLayout& layout, const json::array& ranks) {
  std::vector<double> seconds(ranks.front().at("step_seconds").as_array().size(), 0);
  for (const json::value& rank : ranks) {
    for (size_t i = 0; i < seconds.size(); ++i) {
      seconds[i] = std::max(seconds[i], rank.at("step_seconds").at(i).to_number<double>());
    }
  }
  const int64_t tokens = tokens_of(layout);
  result["threads"] = runtime::compute_threads();
  result["tokens_per_step"] = tokens;
  result["step_seconds"] = json::array(seconds.begin(), seconds.end());
  result["tokens_per_second"] = static_cast<double>(tokens) / median(seconds);
  result["loss"] = ranks.front().at("loss");
}

void bench(const BenchOptions& options, runtime::Communicator& world) {
  const int64_t dry_ranks = options.number("--dry", 0);
  if (dry_ranks == 0 && options.text("--device") != "cpu") throw options.wrong("--device cuda is for --dry");
  const StepLayout layout = layout_of(options, dry_ranks > 0 ? dry_ranks : world.size());
  json::array ranks;
  if (options.number("--first-ranks", 0) > 0) {
    if (dry_ranks == 0) throw options.wrong("--first-ranks is for --dry");
    for (const RankPlan& plan : plan_stages(layout)) ranks.push_back(to_json(plan));
  } else if (dry_ranks > 0) {
    for (int rank = 0; rank < dry_ranks; ++rank) ranks.push_back(to_json(plan_rank(layout, rank)));
  } else {
    runtime::use_threads(0);
    const RankPlan plan = plan_rank(layout, world.rank());
    json::object own = to_json(plan);
    for (const auto& [key, value] : train(options, layout, plan, world)) own[key] = value;
    for (const std::string& text : runtime::all_gather_bytes(world, json::serialize(own))) {
      ranks.push_back(runtime::parse_json(text));
    }
  }
  json::object result = describe(options, layout);
  if (dry_ranks == 0) add_speed(result, layout, ranks);
  if (const std::string& path = options.text("--calibration"); !path.empty() && world.rank() == 0) {
    result["predicted"] = predict_step(layout, runtime::read_calibration(runtime::real_files(), "calibration", path));
  }
  result["of_rank"] = ranks;
  if (world.rank() == 0) std::cout << json::serialize(result) << std::endl;
}

}  // namespace
}  // namespace trireme::model

int main(int argc, char** argv) {
  trireme::runtime::restart_with_library_settings(argv);
  trireme::runtime::MpiSession session;
  try {
    trireme::model::bench(trireme::model::parse(argc, argv), session.world());
  } catch (const trireme::runtime::Error& error) {
    std::cerr << error.what() << '\n';
    session.abort(error.kind() == trireme::runtime::ErrorKind::usage ? 2 : 1);
  }
  return 0;
}
