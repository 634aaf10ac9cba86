#include "tests/model/layout_cases.h"

#include <cmath>
#include <limits>
#include <map>
#include <mutex>
#include <numeric>
#include <span>

#include "runtime/local_ranks.h"

namespace trireme::tests {

using model::Execution;
using model::ModelConfig;
using model::Recompute;
using parallel::Mesh;
using parallel::ScheduleKind;
using runtime::Communicator;

namespace {

constexpr double kMissing = std::numeric_limits<double>::quiet_NaN();

const model::UpdateOptions kOptions{.learning_rate = 1e-3, .dropout = 0.1, .seed = 5};

Execution execution_of(const LayoutTraining& training) {
  Execution execution = on_device(training.execution);
  execution.recompute = training.layout.recompute;
  execution.zero_stage = training.layout.zero_stage;
  execution.schedule = training.layout.schedule;
  execution.virtual_stages = training.layout.virtual_stages;
  return execution;
}

model::StepShape shape_of(const LayoutTraining& training) {
  return {.B = training.layout.B,
          .T = kLayoutTokens,
          .microbatches = training.layout.microbatches,
          .has_documents = training.has_documents};
}

SmallBatch batch_of_step(const LayoutTraining& training, int64_t step) {
  std::mt19937_64 random(static_cast<uint64_t>(step));
  SmallBatch batch(random, training.layout.sequences(), kLayoutTokens, training.config.vocabulary_size);
  if (training.has_documents) batch.cut_documents(random);
  return batch;
}

/// This rank's microbatches of a batch.
std::vector<model::HostMicrobatch> share(const SmallBatch& batch, const LayoutCase& layout, int dp_rank) {
  std::vector<model::HostMicrobatch> microbatches;
  for (int64_t i = 0; i < layout.microbatches; ++i) {
    microbatches.push_back(part(batch, (dp_rank * layout.microbatches + i) * layout.B, layout.B));
  }
  return microbatches;
}

using Totals = std::map<std::string, runtime::CommTotal, std::less<>>;

std::vector<Totals> totals_of(const parallel::MeshGroups& groups) {
  std::vector<Totals> totals;
  for (const Communicator* group : {groups.tp.get(), groups.dp.get(), groups.pp.get(), groups.pp_forward.get(),
                                    groups.pp_backward.get(), groups.tied.get()}) {
    totals.emplace_back(group->totals().begin(), group->totals().end());
  }
  return totals;
}

/// The messages of a rank's first step, by group, without sending any.
std::vector<Totals> planned_messages(const LayoutTraining& training, int rank) {
  const LayoutCase& layout = training.layout;
  const Execution execution = execution_of(training);
  runtime::Stream stream = runtime::Stream::dry_for(execution.device);
  parallel::MeshGroups groups = parallel::dry_groups(layout.mesh, rank, training.messages);
  runtime::Memory memory =
      runtime::Memory::dry(model::slot_counts(execution, layout.mesh, layout.microbatches, groups.at.pp));
  const auto trainer =
      model::make_trainer(training.config, model::Purpose::training, execution, stream, memory, groups);
  model::initialize(stream, 1, trainer->units);
  trainer->shards.parameters_changed();
  const std::vector<model::HostMicrobatch> microbatches(
      static_cast<size_t>(layout.microbatches),
      {.B = layout.B, .T = kLayoutTokens, .has_documents = training.has_documents});
  model::train_step(*trainer, microbatches, kOptions);
  return totals_of(groups);
}

/// A whole range of all parameters' owned elements, everybody's: those of this rank, then of all.
std::vector<double> gather(Communicator& world, SmallModel& small, const std::vector<ParameterPlace>& places,
                           runtime::View parallel::UnitMemory::*range) {
  std::vector<double> own(places.back().end, kMissing);
  for (const model::Unit& unit : small.trainer->units) {
    const Vector values = doubles(small.stream, unit.memory.*range);
    for (const parallel::PlacedParameter& parameter : unit.layout.parameters) {
      const parallel::ParameterSpec& spec = parameter.spec;
      const auto place = std::ranges::find(places, spec.name, &ParameterPlace::name);
      for (const parallel::CopyRun& run : parallel::copy_runs(parallel::whole(spec.global_shape), spec.box)) {
        for (int64_t i = 0; i < run.elements; ++i) {
          const int64_t at = parameter.offset + run.to_begin + i;
          if (at < unit.memory.owned.begin || at >= unit.memory.owned.end) continue;
          double& element = own[place->begin + static_cast<size_t>(run.from_begin + i)];
          const double value = values[static_cast<size_t>(at - unit.memory.owned.begin)];
          EXPECT_TRUE(std::isnan(element) || element == value) << spec.name << " twice on one rank";
          element = value;
        }
      }
    }
  }
  const auto n = static_cast<int64_t>(own.size());
  std::vector<double> all(own.size() * static_cast<size_t>(world.size()));
  world
      .all_gather(runtime::view_of(std::span<double>(own), {n}),
                  runtime::view_of(std::span<double>(all), {n * world.size()}))
      .wait();
  std::vector<double> merged(own.size(), kMissing);
  int64_t unequal = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    double& element = merged[i % own.size()];
    if (std::isnan(all[i])) continue;
    if (!std::isnan(element) && element != all[i]) ++unequal;
    element = all[i];
  }
  EXPECT_EQ(unequal, 0) << "elements that replicas hold with other bits";
  EXPECT_EQ(std::ranges::count_if(merged, [](double value) { return std::isnan(value); }), 0) << "held by nobody";
  return merged;
}

double squares(std::span<const double> values) {
  return std::inner_product(values.begin(), values.end(), values.begin(), 0.0);
}

ModelConfig base() {
  ModelConfig config;
  config.layers = 8;
  config.heads = config.kv_heads = 12;
  config.width = 24;
  config.head_width = 2;
  config.feed_forward_width = 42;
  config.positions = kLayoutTokens;
  config.vocabulary_size = 41;
  return config;
}

std::string short_name(Recompute recompute) {
  switch (recompute) {
    case Recompute::selective:
      return "_selective";
    case Recompute::full:
      return "_full";
    default:
      return "";
  }
}

}  // namespace

std::string LayoutCase::name() const {
  std::string text = "tp" + std::to_string(mesh.tp) + "_dp" + std::to_string(mesh.dp) + "_pp" +
                     std::to_string(mesh.pp) + "_zero" + std::to_string(zero_stage);
  if (mesh.pp > 1) text += "_" + std::string(parallel::name(schedule));
  if (virtual_stages > 1) text += "_v" + std::to_string(virtual_stages);
  text += "_m" + std::to_string(microbatches) + short_name(recompute);
  std::ranges::replace(text, '-', '_');
  return text;
}

int64_t layout_steps() {
  return LAYOUT_STEPS;
}

ModelConfig layout_gpt2() {
  return base();
}

ModelConfig layout_llama() {
  ModelConfig config = base();
  config.family = "llama";
  config.kv_heads = 6;
  config.norm = model::NormKind::rms_norm;
  config.position = model::PositionKind::rope;
  config.activation = model::ActivationKind::swiglu;
  config.attention_bias = config.feed_forward_bias = false;
  config.rope_theta = 50;
  config.norm_epsilon = 1e-6;
  config.tied_embeddings = false;
  return config;
}

std::vector<ParameterPlace> parameter_places(const ModelConfig& config) {
  std::vector<ParameterPlace> places;
  size_t end = 0;
  for (const model::UnitDefinition& unit : model::define_units(config)) {
    for (const model::ParameterDefinition& parameter : unit.parameters) {
      const size_t begin = end;
      end += static_cast<size_t>(parallel::whole(parameter.spec.global_shape).elements());
      places.push_back({parameter.spec.name, begin, end});
    }
  }
  return places;
}

LayoutRank::LayoutRank(Communicator& world, const LayoutTraining& training)
    : world_(world),
      training_(training),
      plan_(model::plan_training(training.config, execution_of(training), training.layout.mesh, shape_of(training),
                                 kOptions, world.rank())),
      small_(training.config, plan_, parallel::make_groups(training.layout.mesh, world), model::Purpose::training,
             execution_of(training)) {}

model::RankPlan LayoutRank::rank_plan() const {
  return model::plan_rank({.config = training_.config,
                           .execution = execution_of(training_),
                           .mesh = training_.layout.mesh,
                           .shape = shape_of(training_),
                           .options = kOptions,
                           .messages = training_.messages},
                          world_.rank());
}

model::StepResult LayoutRank::step(int64_t index) {
  const SmallBatch batch = batch_of_step(training_, index);
  model::UpdateOptions update = kOptions;
  update.update = index + 1;
  const model::StepResult result =
      model::train_step(*small_.trainer, share(batch, training_.layout, small_.groups.at.dp), update);
  EXPECT_TRUE(result.updated());
  return result;
}

double LayoutRank::validate(int64_t index) {
  model::reset_loss(*small_.trainer);
  const SmallBatch batch = batch_of_step(training_, index);
  for (const model::HostMicrobatch& microbatch : share(batch, training_.layout, small_.groups.at.dp)) {
    model::add_loss(*small_.trainer, microbatch);
  }
  return model::mean_loss(*small_.trainer).loss;
}

std::vector<double> LayoutRank::all(runtime::View parallel::UnitMemory::*range) {
  return gather(world_, small_, parameter_places(training_.config), range);
}

LayoutRun train_in_layout(Communicator& world, const LayoutTraining& training) {
  LayoutRank rank(world, training);
  LayoutRun run;
  for (int64_t step = 0; step < training.steps; ++step) {
    const parallel::SentMessages before = model::sent_messages(rank.small().groups);
    const model::StepResult result = rank.step(step);
    run.losses.push_back(result.loss);
    run.norms.push_back(result.grad_norm);
    if (step == 1) {  // as all that follow: parameters are on their way when it begins
      const parallel::SentMessages sent = model::difference(model::sent_messages(rank.small().groups), before);
      EXPECT_EQ(model::bytes_by_axis(sent), model::bytes_by_axis(rank.rank_plan().sent)) << "rank " << world.rank();
    }
    if (step > 0) continue;
    EXPECT_EQ(totals_of(rank.small().groups), planned_messages(training, world.rank()))
        << "messages of rank " << world.rank();
    run.gradients = rank.all(&parallel::UnitMemory::exp_avg);
  }
  run.parameters = rank.all(&parallel::UnitMemory::masters);
  run.validation_loss = rank.validate(training.steps);
  EXPECT_EQ(rank.small().memory.used(), rank.plan()) << "memory of rank " << world.rank();
  const model::RankPlan plan = rank.rank_plan();
  EXPECT_EQ(rank.small().memory.used(), plan.memory) << "memory of rank " << world.rank();
  EXPECT_EQ(model::staging_bytes(rank.small().groups), plan.staging_bytes) << "staging of rank " << world.rank();
  return run;
}

LayoutRun train_on_local_ranks(const LayoutTraining& training) {
  std::vector<LayoutRun> runs(static_cast<size_t>(training.layout.mesh.world_size()));
  runtime::run_local_ranks(static_cast<int>(runs.size()), [&](runtime::Communicator& world) {
    runs[static_cast<size_t>(world.rank())] = train_in_layout(world, training);
  });
  for (const LayoutRun& run : runs) {  // every rank reports the same bits
    EXPECT_EQ(run.losses, runs.front().losses);
    EXPECT_EQ(run.norms, runs.front().norms);
    EXPECT_EQ(run.validation_loss, runs.front().validation_loss);
  }
  return runs.front();
}

const LayoutRun& train_alone(const LayoutTraining& training) {
  static std::mutex mutex;
  static std::map<std::string, LayoutRun> runs;
  const std::lock_guard lock(mutex);
  LayoutTraining alone = training;
  alone.layout = {.microbatches = training.layout.microbatches * training.layout.mesh.dp, .B = training.layout.B};
  const std::string key = training.config.family + std::to_string(training.config.vocabulary_size) + "/" +
                          std::to_string(training.config.layers) + "/" + std::to_string(alone.layout.microbatches) +
                          "/" + std::to_string(training.steps) + "/" +
                          std::to_string(static_cast<int>(training.execution.storage)) + "/" +
                          std::to_string(training.execution.lanes) + "/" + std::to_string(training.layout.B) +
                          (training.has_documents ? "/documents" : "");
  const auto known = runs.find(key);
  if (known != runs.end()) return known->second;
  const auto world = runtime::solo_communicator();
  return runs[key] = train_in_layout(*world, alone);
}

void expect_follows_one_rank(const LayoutTraining& training, const LayoutRun& run) {
  const LayoutRun& alone = train_alone(training);
  ASSERT_EQ(run.losses.size(), alone.losses.size());
  // The bar of the project: fp32 sums in another order.
  for (size_t i = 0; i < run.losses.size(); ++i) {
    EXPECT_NEAR(run.losses[i], alone.losses[i], 1e-5 * alone.losses[i]) << "step " << i;
    EXPECT_NEAR(run.norms[i], alone.norms[i], 1e-4 * alone.norms[i]) << "step " << i;
  }
  EXPECT_NEAR(run.validation_loss, alone.validation_loss, 1e-5 * alone.validation_loss);
  const double mean_square = squares(alone.gradients) / static_cast<double>(alone.gradients.size());
  for (const ParameterPlace& place : parameter_places(training.config)) {
    const size_t n = place.end - place.begin;
    const std::span<const double> expected = std::span(alone.gradients).subspan(place.begin, n);
    std::vector<double> difference(run.gradients.begin() + static_cast<std::ptrdiff_t>(place.begin),
                                   run.gradients.begin() + static_cast<std::ptrdiff_t>(place.end));
    for (size_t i = 0; i < n; ++i) difference[i] -= expected[i];
    // Some gradients (of key biases) are zero but for rounding: their terms are as large as others'.
    const double length = std::sqrt(squares(expected)) + 1e-3 * std::sqrt(mean_square * static_cast<double>(n));
    EXPECT_LE(std::sqrt(squares(difference)) / length, kGradientBound) << place.name;
  }
}

std::vector<LayoutCase> short_grid() {
  using enum ScheduleKind;
  return {
      {.mesh = {.tp = 2}, .microbatches = 2},
      {.mesh = {.tp = 3}, .recompute = Recompute::selective},
      {.mesh = {.dp = 2}, .zero_stage = 1},
      {.mesh = {.dp = 3}, .zero_stage = 2, .microbatches = 2},
      {.mesh = {.dp = 2}, .zero_stage = 3, .microbatches = 2, .recompute = Recompute::full},
      {.mesh = {.pp = 2}, .microbatches = 3},
      {.mesh = {.pp = 3}, .schedule = zb_h1, .microbatches = 4},
      {.mesh = {.pp = 2}, .virtual_stages = 2, .microbatches = 4},
      {.mesh = {.tp = 2, .dp = 2}, .zero_stage = 2, .microbatches = 2},
      {.mesh = {.dp = 2, .pp = 2}, .zero_stage = 3, .schedule = zb_h1, .microbatches = 3},
  };
}

std::vector<LayoutCase> whole_grid() {
  using enum ScheduleKind;
  using enum Recompute;
  std::vector<LayoutCase> grid = short_grid();
  const std::vector<LayoutCase> rest{
      // One axis alone, also at odd sizes.
      {.mesh = {.tp = 2}, .microbatches = 2, .recompute = full},
      {.mesh = {.tp = 3}, .microbatches = 2},
      {.mesh = {.tp = 6}, .microbatches = 2},
      {.mesh = {.dp = 2}, .microbatches = 3},
      {.mesh = {.dp = 3}, .zero_stage = 3, .microbatches = 2},
      {.mesh = {.dp = 4}, .zero_stage = 1, .microbatches = 2},
      {.mesh = {.dp = 5}, .zero_stage = 0},
      {.mesh = {.dp = 5}, .zero_stage = 2, .microbatches = 2},
      {.mesh = {.dp = 6}, .zero_stage = 3},
      {.mesh = {.dp = 7}, .zero_stage = 1},
      {.mesh = {.dp = 7}, .zero_stage = 3, .microbatches = 2, .recompute = selective},
      {.mesh = {.dp = 8}, .zero_stage = 2},
      {.mesh = {.pp = 2}, .schedule = gpipe, .microbatches = 4},
      {.mesh = {.pp = 2}, .schedule = zb_h1, .microbatches = 5, .recompute = full},
      {.mesh = {.pp = 3}, .microbatches = 5, .recompute = full},
      {.mesh = {.pp = 4}, .schedule = zb_h1, .microbatches = 6},
      {.mesh = {.pp = 4}, .virtual_stages = 2, .microbatches = 8},
      {.mesh = {.pp = 5}, .microbatches = 3},
      {.mesh = {.pp = 5}, .schedule = zb_h1, .microbatches = 7, .recompute = selective},
      {.mesh = {.pp = 6}, .schedule = gpipe, .microbatches = 2},
      {.mesh = {.pp = 7}, .microbatches = 7},
      {.mesh = {.pp = 7}, .schedule = zb_h1, .microbatches = 8},
      {.mesh = {.pp = 8}, .microbatches = 8, .recompute = selective},
      {.mesh = {.pp = 2}, .virtual_stages = 4, .microbatches = 4},
      // Two axes.
      {.mesh = {.tp = 2, .dp = 2}, .zero_stage = 0, .microbatches = 2, .recompute = selective},
      {.mesh = {.tp = 2, .dp = 2}, .zero_stage = 1, .microbatches = 1},
      {.mesh = {.tp = 2, .dp = 2}, .zero_stage = 3, .microbatches = 2, .recompute = full},
      {.mesh = {.tp = 3, .dp = 2}, .zero_stage = 2, .microbatches = 2},
      {.mesh = {.tp = 2, .dp = 3}, .zero_stage = 3, .microbatches = 2},
      {.mesh = {.tp = 2, .dp = 4}, .zero_stage = 1},
      {.mesh = {.tp = 2, .pp = 2}, .microbatches = 4},
      {.mesh = {.tp = 2, .pp = 2}, .schedule = zb_h1, .microbatches = 4},
      {.mesh = {.tp = 2, .pp = 2}, .virtual_stages = 2, .microbatches = 4, .recompute = full},
      {.mesh = {.tp = 3, .pp = 2}, .schedule = zb_h1, .microbatches = 3, .recompute = selective},
      {.mesh = {.tp = 2, .pp = 3}, .microbatches = 4},
      {.mesh = {.tp = 2, .pp = 4}, .schedule = zb_h1, .microbatches = 5},
      {.mesh = {.dp = 2, .pp = 2}, .zero_stage = 0, .microbatches = 3},
      {.mesh = {.dp = 2, .pp = 2}, .zero_stage = 1, .schedule = gpipe, .microbatches = 3},
      {.mesh = {.dp = 2, .pp = 2}, .zero_stage = 2, .virtual_stages = 2, .microbatches = 4},
      {.mesh = {.dp = 3, .pp = 2}, .zero_stage = 2, .schedule = zb_h1, .microbatches = 3},
      {.mesh = {.dp = 2, .pp = 3}, .zero_stage = 3, .microbatches = 4, .recompute = selective},
      {.mesh = {.dp = 4, .pp = 2}, .zero_stage = 3, .virtual_stages = 2, .microbatches = 2},
      {.mesh = {.dp = 2, .pp = 4}, .zero_stage = 1, .virtual_stages = 2, .microbatches = 4, .recompute = full},
      // Three.
      {.mesh = {.tp = 2, .dp = 2, .pp = 2}, .zero_stage = 0, .microbatches = 3},
      {.mesh = {.tp = 2, .dp = 2, .pp = 2}, .zero_stage = 1, .schedule = zb_h1, .microbatches = 3},
      {.mesh = {.tp = 2, .dp = 2, .pp = 2}, .zero_stage = 2, .virtual_stages = 2, .microbatches = 4},
      {.mesh = {.tp = 2, .dp = 2, .pp = 2}, .zero_stage = 3, .schedule = zb_h1, .microbatches = 3, .recompute = full},
  };
  grid.insert(grid.end(), rest.begin(), rest.end());
  return grid;
}

}  // namespace trireme::tests
