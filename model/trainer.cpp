#include "model/trainer.h"

#include <algorithm>

#include "runtime/error.h"
#include "runtime/ops/elementwise.h"
#include "runtime/ops/exact_sum.h"
#include "runtime/ops/positions.h"
#include "runtime/ops/rope.h"

namespace trireme::model {

using runtime::Arena;
using runtime::DType;
using runtime::Error;
using runtime::ErrorKind;
using runtime::View;

namespace {

template <typename T>
View upload(runtime::Stream& stream, Arena& slot, const T* host, int64_t elements) {
  const View view = slot.allocate(runtime::dtype_of<T>, {elements});
  runtime::copy_from_host(stream, std::as_bytes(std::span(host, static_cast<size_t>(elements))), view);
  return view;
}

std::vector<TransformerChunk> bind_chunks(const ModelConfig& config, const std::vector<ChunkPlace>& places,
                                          const StageUnits& stage, Purpose purpose) {
  std::vector<TransformerChunk> chunks;
  for (size_t i = 0; i < places.size(); ++i) {
    TransformerChunk chunk{.place = places[i], .units = stage.chunks[i], .storage = stage.options.storage};
    chunk.weights = bind_weights(config, stage.units, places[i], chunk.units, &parallel::UnitMemory::parameters);
    if (purpose == Purpose::training) {
      chunk.gradients = bind_weights(config, stage.units, places[i], chunk.units, &parallel::UnitMemory::gradients);
      if (chunk.units.head_gradients != chunk.units.head_table) {
        View& table = chunk.gradients.head.table;
        table = stage.tied_head.gradients.range(0, table.shape);
      }
    }
    chunks.push_back(std::move(chunk));
  }
  return chunks;
}

std::vector<std::vector<InFlight>> make_in_flight(const std::vector<TransformerChunk>& chunks,
                                                  const runtime::Memory& memory) {
  std::vector<std::vector<InFlight>> in_flight(chunks.size());
  for (size_t i = 0; i < chunks.size(); ++i) {
    in_flight[i].resize(static_cast<size_t>(memory.slots[i].slots()));
    for (InFlight& flight : in_flight[i]) {
      flight.saved.blocks.reserve(chunks[i].weights.blocks.size());
      flight.saved.deferred.resize(chunks[i].weights.blocks.size());
    }
  }
  return in_flight;
}

ExactTotals make_exact_totals(const Execution& execution, Arena& persistent) {
  if (execution.lanes == 0) return {};
  const runtime::Shape words{runtime::kExactSumWords};
  const View both = persistent.allocate(DType::i64, {2 * runtime::kExactSumWords});
  return {.both = both, .loss = both.range(0, words), .squares = both.range(runtime::kExactSumWords, words)};
}

/// One that has other ranks in it: progress of one such group is that of all.
runtime::Communicator* any_group(const parallel::MeshGroups& groups) {
  if (groups.mesh.pp > 1) return groups.pp.get();
  return groups.mesh.tp > 1 ? groups.tp.get() : groups.dp.get();
}

/// Recorded work has no messages in it, which would not be repeated.
void check_device(const runtime::Stream& stream, const parallel::Mesh& mesh) {
  if (stream.device() == runtime::Device::cuda && mesh.world_size() > 1) {
    throw Error(ErrorKind::internal, "several ranks cannot train on GPUs yet");
  }
}

}  // namespace

TokenViews upload_tokens(runtime::Stream& stream, Arena& slot, const HostMicrobatch& batch) {
  const int64_t N = batch.B * batch.T;
  TokenViews views{.B = batch.B, .T = batch.T};
  views.tokens = upload(stream, slot, batch.tokens, N);
  views.targets = upload(stream, slot, batch.targets, N);
  views.samples = upload(stream, slot, batch.samples, batch.B);
  if (batch.has_documents) {
    views.positions = upload(stream, slot, batch.positions, N);
    views.first_keys = upload(stream, slot, batch.first_keys, N);
  } else {
    views.positions = slot.allocate(DType::i32, {N});
    runtime::fill_positions(stream, 0, batch.T, views.positions);
  }
  return views;
}

Context context_of(Trainer& trainer, double dropout, uint64_t seed) {
  return {.config = trainer.config,
          .stream = trainer.stream,
          .scratch = trainer.memory.scratch,
          .tp = *trainer.groups.tp,
          .rope_table = trainer.rope_table,
          .recompute = trainer.execution.recompute,
          .dropout = static_cast<float>(dropout),
          .seed = seed};
}

std::unique_ptr<Trainer> make_trainer(const ModelConfig& config, Purpose purpose, const Execution& execution,
                                      runtime::Stream& stream, runtime::Memory& memory, parallel::MeshGroups& groups) {
  return make_trainer(config, purpose, execution, stream, memory, groups,
                      chunks_of_stage(config, stages_of(groups.mesh, execution), groups.at.pp));
}

std::unique_ptr<Trainer> make_trainer(const ModelConfig& config, Purpose purpose, const Execution& execution,
                                      runtime::Stream& stream, runtime::Memory& memory, parallel::MeshGroups& groups,
                                      const std::vector<ChunkPlace>& places) {
  check_device(stream, groups.mesh);
  Arena& persistent = memory.persistent;
  StageUnits stage = make_units(config, places, purpose, execution, groups, persistent);
  std::vector<TransformerChunk> chunks = bind_chunks(config, places, stage, purpose);
  std::vector<std::vector<InFlight>> in_flight = make_in_flight(chunks, memory);
  std::vector<parallel::UnitMemory> unit_memory;
  for (const Unit& unit : stage.units) unit_memory.push_back(unit.memory);
  if (stage.specs.size() > stage.units.size()) unit_memory.push_back(stage.tied_head);
  View rope_table;
  if (config.position == PositionKind::rope) {
    rope_table = persistent.allocate(DType::fp32, {config.positions, config.head_width});
    runtime::fill_rope_table(stream, config.rope_theta, rope_table);
  }
  const View update_schedule = purpose == Purpose::training ? persistent.allocate(DType::fp32, {6}) : View();
  if (groups.mesh.world_size() > 1) stream.on_dispatch([group = any_group(groups)] { group->progress(); });
  auto trainer = std::unique_ptr<Trainer>(
      new Trainer{.config = config,
                  .execution = execution,
                  .stream = stream,
                  .memory = memory,
                  .groups = groups,
                  .units = std::move(stage.units),
                  .tied_head = stage.tied_head,
                  .shards = {std::move(stage.specs), std::move(unit_memory), stage.options, stream, groups},
                  .chunks = std::move(chunks),
                  .rope_table = rope_table,
                  .totals = persistent.allocate(DType::fp64, {4}),
                  .exact_totals = make_exact_totals(execution, persistent),
                  .update_schedule = update_schedule,
                  .in_flight = std::move(in_flight),
                  .pipeline = {},
                  .recordings = {},
                  .marks = runtime::TimeMarks(stream)});
  clear(stream, trainer->units);
  if (!stage.tied_head.gradients.absent()) runtime::fill(stream, stage.tied_head.gradients, 0);
  return trainer;
}

void check_sequence_length(int tp, int64_t T) {
  if (T % tp == 0) return;
  throw Error(ErrorKind::usage, "--tensor-parallel " + std::to_string(tp) + " does not divide --sequence-length " +
                                    std::to_string(T) + ": the nearest length that it divides is " +
                                    std::to_string(std::max<int64_t>(1, T / tp) * tp));
}

void reserve_pipeline_buffers(Trainer& trainer, int64_t B, int64_t T, const parallel::BufferCounts& counts) {
  check_sequence_length(trainer.groups.mesh.tp, T);
  const runtime::Shape shape{B * T / trainer.groups.mesh.tp, trainer.config.width};
  const auto reserve = [&](std::vector<View>& views, int count) {
    if (!views.empty() && views.front().shape != shape) {
      throw Error(ErrorKind::internal, "microbatches of a run have one size");
    }
    while (static_cast<int>(views.size()) < count) {
      views.push_back(trainer.memory.persistent.allocate(trainer.execution.storage, shape));
    }
  };
  reserve(trainer.pipeline.buffers.inputs, counts.inputs);
  reserve(trainer.pipeline.buffers.gradients, counts.gradients);
}

}  // namespace trireme::model
