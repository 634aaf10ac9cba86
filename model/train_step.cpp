#include "model/train_step.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "runtime/ops/adamw.h"
#include "runtime/error.h"
#include "runtime/ops/elementwise.h"
#include "runtime/ops/exact_sum.h"
#include "runtime/ops/fixed_products.h"

namespace trireme::model {

using parallel::Mesh;
using parallel::ScheduleSpec;
using parallel::UnitMemory;
using runtime::View;

namespace {

/// Of a reproducible step, whose sums go sequence by sequence.
void check_sequences(const Trainer& trainer, int64_t B) {
  if (trainer.execution.lanes == 0 || B == 1) return;
  throw runtime::Error(runtime::ErrorKind::internal,
                       "a reproducible step takes microbatches of 1 sequence, not of " + std::to_string(B));
}

/// The part of a unit's owned gradients whose squares this rank adds to the norm: each parameter counts on one rank.
View counted_gradients(const Trainer& trainer, const Unit& unit) {
  const UnitMemory& memory = unit.memory;
  const parallel::MeshCoordinates& at = trainer.groups.at;
  const bool is_whole = memory.owned.end - memory.owned.begin == unit.layout.elements;
  if (unit.is_copy || (is_whole && at.dp > 0)) return {};
  const int64_t replicated = at.tp == 0 ? 0 : unit.layout.replicated_elements;
  const int64_t begin = std::max(memory.owned.begin, replicated);
  if (begin >= memory.owned.end) return {};
  return memory.gradient_part.rows(begin - memory.owned.begin, memory.owned.end - begin);
}

/// Sum over this rank's units, in order, of the squares of the reduced gradients; padding is zero.
void add_gradient_norm(Trainer& trainer) {
  for (const Unit& unit : trainer.units) {
    const View counted = counted_gradients(trainer, unit);
    if (counted.absent()) continue;
    if (trainer.exact_totals.both.absent()) {
      runtime::add_sum_of_squares(trainer.stream, counted, trainer.totals.rows(2, 1), trainer.memory.scratch);
    } else {
      runtime::add_squares_exactly(trainer.stream, counted, trainer.exact_totals.squares);
    }
  }
}

void update_parameters(Trainer& trainer, const UpdateOptions& options) {
  for (const Unit& unit : trainer.units) {
    const UnitMemory& memory = unit.memory;
    runtime::adamw_update(trainer.stream,
                          {.beta1 = static_cast<float>(options.beta1),
                           .beta2 = static_cast<float>(options.beta2),
                           .epsilon = static_cast<float>(options.epsilon),
                           .weight_decay = static_cast<float>(options.weight_decay),
                           .undecayed = unit.undecayed},
                          {.parameter = memory.masters,
                           .gradient = memory.gradient_part,
                           .m = memory.exp_avg,
                           .v = memory.exp_avg_sq,
                           .compute = memory.has_own_masters() ? memory.parameter_part : View(),
                           .schedule = trainer.update_schedule.rows(2, 4)});
  }
}

/// First and last stage hold the token table when it is tied: each adds the other's gradients to its own, and both then
/// make the same update. A reproducible step adds the same two sums where one rank has both.
void sum_tied_gradients(Trainer& trainer) {
  if (const View& head = trainer.tied_head.gradient_part; !head.absent()) {
    const View& embedding = trainer.units[trainer.chunks.front().units.embedding].memory.gradient_part;
    runtime::add(trainer.stream, embedding, head, embedding);
    runtime::fill(trainer.stream, head, 0);
  }
  if (trainer.groups.tied->size() == 1 || !trainer.config.tied_embeddings) return;
  const TransformerChunk& chunk = trainer.groups.is_first_stage() ? trainer.chunks.front() : trainer.chunks.back();
  const size_t table = chunk.place.is_first ? chunk.units.embedding : chunk.units.head_table;
  trainer.groups.tied->all_reduce(trainer.units[table].memory.gradient_part, runtime::ReduceOp::sum).wait();
}

void sum_over_mesh(Trainer& trainer, const View& values) {
  parallel::MeshGroups& groups = trainer.groups;
  for (runtime::Communicator* axis : {groups.tp.get(), groups.dp.get(), groups.pp.get()}) {
    axis->all_reduce(values, runtime::ReduceOp::sum).wait();
  }
}

/// totals := their sum over the mesh. All ranks of tp have the same losses: the first one's count.
void sum_totals(Trainer& trainer, const View& totals) {
  const ExactTotals& exact = trainer.exact_totals;
  if (trainer.groups.at.tp > 0) {
    runtime::fill(trainer.stream, totals.rows(0, 2), 0);
    if (!exact.both.absent()) runtime::clear_exact_sum(trainer.stream, exact.loss);
  }
  sum_over_mesh(trainer, totals);
  if (exact.both.absent()) return;
  sum_over_mesh(trainer, exact.both);
  runtime::round_exact_sum(trainer.stream, exact.loss, trainer.totals.rows(0, 1));
  runtime::round_exact_sum(trainer.stream, exact.squares, trainer.totals.rows(2, 1));
}

void clear_totals(Trainer& trainer) {
  runtime::fill(trainer.stream, trainer.totals, 0);
  if (trainer.exact_totals.both.absent()) return;
  runtime::clear_exact_sum(trainer.stream, trainer.exact_totals.loss);
  runtime::clear_exact_sum(trainer.stream, trainer.exact_totals.squares);
}

/// What the numbers of the step say to its caller; the update has gone by them already, on the device. The one place
/// where the host waits for a step; uploads keep it a microbatch or two ahead at most.
void read_result(Trainer& trainer, const UpdateOptions& options, StepResult& result) {
  double totals[4];
  runtime::read_scalars(trainer.stream, trainer.totals, totals);
  const auto [loss_sum, target_count, sum_of_squares, votes] = totals;
  result.loss = loss_sum / target_count;
  result.target_tokens = static_cast<int64_t>(target_count);
  result.grad_norm = std::sqrt(sum_of_squares) / target_count;
  result.votes = static_cast<int64_t>(votes);
  result.verdict = runtime::judge_update(totals, options.limits);
}

/// Work that was recorded for other sizes or constants is of no use.
void forget_other_recordings(Trainer& trainer, const HostMicrobatch& microbatch, UpdateOptions options) {
  options.learning_rate = 0;
  options.update = 0;
  options.limits = {};
  StepRecordings& recordings = trainer.recordings;
  if (recordings.B == microbatch.B && recordings.T == microbatch.T &&
      recordings.has_documents == microbatch.has_documents && recordings.options == options) {
    return;
  }
  recordings = {.B = microbatch.B, .T = microbatch.T, .has_documents = microbatch.has_documents, .options = options};
}

/// A step begins with its limits and learning rate on the device, and totals of zero.
void begin_step(Trainer& trainer, const HostMicrobatch& microbatch, const UpdateOptions& options) {
  trainer.marks.clear();
  trainer.marks.mark();
  const auto [learning_rate, m_correction, v_correction] =
      runtime::adamw_schedule(options.learning_rate, options.beta1, options.beta2, options.update);
  const float schedule[] = {options.limits.loss, options.limits.grad_norm, learning_rate, m_correction, v_correction};
  runtime::copy_from_host(trainer.stream, std::as_bytes(std::span(schedule)), trainer.update_schedule.rows(0, 5));
  clear_totals(trainer);
  forget_other_recordings(trainer, microbatch, options);
}

/// Norm, clip factor and update. Of one rank nothing lies between norm and update, so that they are one recording.
void update(Trainer& trainer, const UpdateOptions& options) {
  trainer.recordings.update.run(trainer.stream, [&] {
    add_gradient_norm(trainer);
    const bool is_alone = trainer.groups.mesh.world_size() == 1;
    if (!is_alone || !trainer.exact_totals.both.absent()) sum_totals(trainer, trainer.totals);
    runtime::update_scale(trainer.stream, options.clip_grad_norm, trainer.totals.rows(0, 3),
                          trainer.update_schedule.rows(0, 2), trainer.update_schedule.rows(5, 1));
    update_parameters(trainer, options);
  });
  trainer.shards.parameters_changed();
}

}  // namespace

ScheduleSpec schedule_of(const Execution& execution, const Mesh& mesh, int64_t microbatches) {
  return {.kind = execution.schedule,
          .stages = mesh.pp,
          .chunks = execution.virtual_stages,
          .microbatches = static_cast<int>(microbatches)};
}

void prepare_pipeline(Trainer& trainer, const StepShape& shape) {
  PipelinePlan& pipeline = trainer.pipeline;
  if (pipeline.spec.microbatches != shape.microbatches || pipeline.actions.empty()) {
    pipeline.spec = schedule_of(trainer.execution, trainer.groups.mesh, shape.microbatches);
    pipeline.actions = parallel::make_schedule(pipeline.spec, trainer.groups.at.pp);
  }
  reserve_pipeline_buffers(trainer, shape.B, shape.T,
                           parallel::buffer_counts(pipeline.spec, trainer.groups.at.pp, pipeline.actions));
}

StepResult train_step(Trainer& trainer, std::span<const HostMicrobatch> microbatches, const UpdateOptions& options,
                      const std::function<int64_t()>& vote) {
  const HostMicrobatch& first = microbatches.front();
  check_sequences(trainer, first.B);
  const runtime::FixedProducts fixed(trainer.execution.lanes > 0);
  prepare_pipeline(trainer, {.B = first.B, .T = first.T, .microbatches = static_cast<int64_t>(microbatches.size())});
  begin_step(trainer, first, options);
  trainer.shards.begin_step(static_cast<int64_t>(microbatches.size()));
  TrainingStage stage(trainer, microbatches, options);
  parallel::run_pipeline(trainer.pipeline.spec, trainer.pipeline.actions, stage, trainer.groups,
                         trainer.pipeline.buffers);
  {
    const StepPartScope part(trainer.observer, {StepPart::Kind::reduction});
    trainer.shards.finish_gradients();
    sum_tied_gradients(trainer);
  }
  if (vote) runtime::fill(trainer.stream, trainer.totals.rows(3, 1), static_cast<double>(vote()));
  trainer.marks.mark();
  {
    const StepPartScope part(trainer.observer, {StepPart::Kind::update});
    update(trainer, options);
  }
  trainer.marks.mark();
  StepResult result;
  read_result(trainer, options, result);
  const size_t marks = stage.add_times(result.times);
  result.times.reduce_seconds += trainer.marks.seconds(marks);
  result.times.update_seconds = trainer.marks.seconds(marks + 1);
  return result;
}

void reset_loss(Trainer& trainer) {
  clear_totals(trainer);
}

void add_loss(Trainer& trainer, const HostMicrobatch& microbatch) {
  const runtime::FixedProducts fixed(trainer.execution.lanes > 0);
  const auto chunks = static_cast<int>(trainer.chunks.size());
  if (trainer.groups.mesh.pp > 1) {
    const ScheduleSpec spec = schedule_of(trainer.execution, trainer.groups.mesh, 1);
    reserve_pipeline_buffers(trainer, microbatch.B, microbatch.T,
                             parallel::buffer_counts(spec, trainer.groups.at.pp, {}));
  }
  TrainingStage stage(trainer, std::span(&microbatch, 1), {}, false);
  parallel::run_pipeline_forward(chunks, 0, stage, trainer.groups, trainer.pipeline.buffers);
}

MeanLoss mean_loss(Trainer& trainer) {
  const View sums = trainer.totals.rows(0, 2);
  sum_totals(trainer, sums);
  double totals[2];
  runtime::read_scalars(trainer.stream, sums, totals);
  return {.loss = totals[0] / totals[1], .target_tokens = static_cast<int64_t>(totals[1])};
}

std::vector<int64_t> slot_counts(const Execution& execution, const Mesh& mesh, int64_t microbatches, int stage) {
  const std::vector<parallel::Action> actions =
      parallel::make_schedule(schedule_of(execution, mesh, microbatches), stage);
  std::vector<int64_t> counts;
  for (int chunk = 0; chunk < execution.virtual_stages; ++chunk) {
    counts.push_back(parallel::peak_in_flight(actions, chunk));
  }
  return counts;
}

runtime::MemoryPlan plan_training(const ModelConfig& config, const Execution& execution, const Mesh& mesh,
                                  const StepShape& shape, const UpdateOptions& options, int rank) {
  runtime::Stream stream = runtime::Stream::dry_for(execution.device);
  parallel::MeshGroups groups = parallel::dry_groups(mesh, rank);
  runtime::Memory memory = runtime::Memory::dry(slot_counts(execution, mesh, shape.microbatches, groups.at.pp));
  const auto trainer = make_trainer(config, Purpose::training, execution, stream, memory, groups);
  const std::vector<HostMicrobatch> microbatches(static_cast<size_t>(shape.microbatches),
                                                 {.B = shape.B, .T = shape.T, .has_documents = shape.has_documents});
  train_step(*trainer, microbatches, options);
  add_loss(*trainer, microbatches.front());
  return memory.used();
}

runtime::MemoryPlan plan_evaluation(const ModelConfig& config, const Execution& execution, const StepShape& shape,
                                    int dp) {
  runtime::Stream stream = runtime::Stream::dry_for(execution.device);
  runtime::Memory memory = runtime::Memory::dry();
  parallel::MeshGroups groups = parallel::dry_groups({.dp = dp});
  const auto trainer = make_trainer(config, Purpose::inference, execution, stream, memory, groups);
  add_loss(*trainer, {.B = shape.B, .T = shape.T, .has_documents = shape.has_documents});
  return memory.used();
}

}  // namespace trireme::model
