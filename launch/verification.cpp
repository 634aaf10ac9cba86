#include "launch/verification.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string>

#include "data/byte_tokenizer.h"
#include "launch/data_sets.h"
#include "launch/memory_plans.h"
#include "launch/model_source.h"
#include "launch/number_text.h"
#include "launch/rank_agreement.h"
#include "launch/reference_layout.h"
#include "launch/side_comparison.h"
#include "launch/verify_side.h"
#include "runtime/error.h"
#include "runtime/flight_recorder.h"
#include "runtime/log.h"

namespace trireme::launch {

using runtime::Communicator;
using runtime::Error;
using runtime::ErrorKind;

namespace {

model::ModelConfig model_to_verify(const VerifyOptions& options) {
  model::ModelConfig config = model_to_train(runtime::real_files(), options.train.model);
  if (options.train.data.empty() && config.vocabulary_size == 0) {
    config.vocabulary_size = data::ByteTokenizer().vocabulary_size();
  }
  if (options.layers > config.layers) {
    throw Error(ErrorKind::usage, "--layers " + std::to_string(options.layers) + " is more than the model's " +
                                      counted(config.layers, "layer") + ": that is the most");
  }
  if (options.layers > 0) config.layers = options.layers;
  return config;
}

TrainingSettings resolve(const TrainOptions& options, const model::ModelConfig& config,
                         std::span<const data::TokenDataset> data, int ranks) {
  return data.empty() ? resolve_without_data(options, config, ranks) : resolve_settings(options, config, data, ranks);
}

/// Of the reference, with the samples, the microbatch size and the device of the layout.
TrainingSettings resolve_reference(const VerifyOptions& options, const TrainingSettings& layout,
                                   std::span<const data::TokenDataset> data, int ranks) {
  const ReferenceLayout wanted = parse_reference_layout(options.reference_layout);
  if (wanted.ranks() > ranks) {
    throw Error(ErrorKind::usage, "--reference-layout " + options.reference_layout + " needs " +
                                      counted(wanted.ranks(), "rank") + ", got " + std::to_string(ranks) +
                                      ": start as many, or leave it out for one rank");
  }
  TrainOptions asked = reference_options(options.train, wanted);
  asked.microbatch_size = layout.layout.microbatch_size;
  asked.device = runtime::name(layout.execution.device);
  try {
    return resolve(asked, layout.config, data, static_cast<int>(wanted.ranks()));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::usage) throw;
    throw Error(ErrorKind::usage, "the reference (--reference-layout): " + std::string(error.what()));
  }
}

/// Files of one name may differ from machine to machine.
void check_files_agree(Communicator& world, const TrainingSettings& settings) {
  boost::json::object identity;
  for (const auto& [name, value] : identity_json(settings)) identity["--" + std::string(name)] = value;
  const std::optional<std::string> difference = difference_between_ranks(world, identity);
  if (difference) throw Error(ErrorKind::usage, *difference);
}

runtime::MemoryPlan plan(const TrainingSettings& settings, int rank) {
  return model::plan_training(settings.config, settings.execution, settings.layout.mesh, settings.step_shape(),
                              settings.update(0, 1), rank);
}

/// Both sides of all ranks of this machine together. Collective.
void check_memory_of_both(Communicator& world, const TrainingSettings& settings, int64_t bytes) {
  const std::vector<RankMemory> plans = gather_plans(world, {.persistent_bytes = bytes, .slots = {}}, 0);
  int64_t needed_bytes = 0;
  for (const RankMemory& plan : plans) {
    if (plan.host == plans[static_cast<size_t>(world.rank())].host) needed_bytes += plan.total_bytes();
  }
  const std::optional<int64_t> free_bytes = runtime::available_memory_bytes(settings.execution.device);
  if (!free_bytes || needed_bytes <= *free_bytes) return;
  throw Error(ErrorKind::usage,
              "the layout and its reference need " + bytes_text(needed_bytes) + " of memory on this machine, " +
                  bytes_text(*free_bytes) + " are free: cut the model with --layers (it has " +
                  std::to_string(settings.config.layers) + "), or lower --microbatch-size or --sequence-length");
}

/// The ranks of the reference are the first ones; null for the others. Collective.
std::unique_ptr<Communicator> ranks_of_reference(Communicator& world, int ranks) {
  const bool takes_part = world.rank() < ranks;
  if (ranks == 1) return takes_part ? runtime::solo_communicator() : nullptr;
  auto group = world.split(takes_part ? 0 : 1, world.rank(), "reference", runtime::GroupUse::messages);
  return takes_part ? std::move(group) : nullptr;
}

/// What the ranks say of a step: the layout's results of all, the reference's of its first. Collective.
struct Reports {
  std::vector<ReportedStep> layout;
  ReportedStep reference;
  bool reference_updated = false;
};

Reports exchange(Communicator& world, const model::StepResult& layout, const model::StepResult& reference) {
  constexpr size_t kNumbers = 5;
  std::array<double, kNumbers> own{layout.loss, layout.grad_norm, reference.loss, reference.grad_norm,
                                   reference.updated() ? 1.0 : 0.0};
  std::vector<double> all(kNumbers * static_cast<size_t>(world.size()));
  world
      .all_gather(runtime::view_of(std::span<const double>(own), {kNumbers}),
                  runtime::view_of(std::span(all), {static_cast<int64_t>(all.size())}))
      .wait();
  Reports reports{.reference = {.loss = all[2], .grad_norm = all[3]}, .reference_updated = all[4] == 1};
  for (size_t i = 0; i < all.size(); i += kNumbers) {
    reports.layout.push_back({.loss = all[i], .grad_norm = all[i + 1]});
  }
  return reports;
}

UpdateTerms terms_of(const model::UpdateOptions& update) {
  const auto [learning_rate, m_correction, v_correction] =
      runtime::adamw_schedule(update.learning_rate, update.beta1, update.beta2, update.update);
  return {.learning_rate = learning_rate,
          .m_correction = m_correction,
          .v_correction = v_correction,
          .epsilon = update.epsilon};
}

/// One step of both, compared.
VerifiedStep verify_step(Communicator& world, VerifySide& layout, VerifySide* reference, SideComparison& comparison,
                         Judge& judge, int64_t step) {
  TensorComparisons gradients;
  model::StepResult result;
  model::StepResult expected;
  const auto step_of_layout = [&] { result = layout.step([&] { gradients = comparison.gradients(); }); };
  if (reference != nullptr) {
    expected = reference->step(step_of_layout);
  } else {
    step_of_layout();
  }
  judge.gradients(step, gradients);
  const Reports reports = exchange(world, result, expected);
  if (!reports.reference_updated) {
    throw Error(ErrorKind::data, "step " + std::to_string(step) +
                                     " of the reference itself has a loss or gradient that is not finite: nothing can "
                                     "be held against it; lower --learning-rate");
  }
  judge.reported(step, reports.reference, reports.layout);
  judge.state(step, comparison.state(terms_of(layout.last_update())));
  return {.step = step, .layout = reports.layout.front(), .reference = reports.reference};
}

/// What passes then says nothing.
void warn_if_equal(Communicator& world, const Verification& verification) {
  const bool is_equal = verification.layout.layout == verification.reference.layout &&
                        verification.layout.execution.recompute == verification.reference.execution.recompute;
  if (!is_equal || world.rank() > 0) return;
  runtime::log_warning("the layout is its own reference: start more ranks, or name another --reference-layout");
}

}  // namespace

Verification verify(const VerifyOptions& options, Communicator& world) {
  std::vector<data::TokenDataset> data;
  if (!options.train.data.empty()) data = open_training(runtime::real_files(), options.train.data);
  Verification verification{.layout = resolve(options.train, model_to_verify(options), data, world.size())};
  verification.reference = resolve_reference(options, verification.layout, data, world.size());
  check_files_agree(world, verification.layout);

  const int reference_ranks = verification.reference.layout.mesh.world_size();
  const bool takes_part = world.rank() < reference_ranks;
  const runtime::MemoryPlan layout_plan = plan(verification.layout, world.rank());
  const runtime::MemoryPlan reference_plan =
      takes_part ? plan(verification.reference, world.rank()) : runtime::MemoryPlan{};
  check_memory_of_both(world, verification.layout,
                       layout_plan.total_bytes() + reference_plan.total_bytes() +
                           SideComparison::buffer_bytes(verification.layout.config));
  warn_if_equal(world, verification);

  VerifySide layout(verification.layout, layout_plan, world, world, data);
  const std::unique_ptr<Communicator> group = ranks_of_reference(world, reference_ranks);
  std::optional<VerifySide> reference;
  if (group != nullptr) reference.emplace(verification.reference, reference_plan, *group, world, data);
  VerifySide* const reference_or_null = reference ? &*reference : nullptr;

  SideComparison comparison(world, layout, reference_or_null);
  Judge judge(comparison.tensors(), verify_bounds(verification.layout, verification.reference));
  judge.ownership(comparison.ownership_flaws());
  judge.start(comparison.start());
  const runtime::PhaseScope phase(world.recorder(), runtime::Phase::training);
  for (int64_t step = 1; step <= options.steps_to_verify && judge.passes(); ++step) {
    verification.steps.push_back(verify_step(world, layout, reference_or_null, comparison, judge, step));
  }
  verification.findings = judge.findings();
  verification.passed = judge.passes();
  return verification;
}

}  // namespace trireme::launch
