#include "launch/side_comparison.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "runtime/bf16.h"
#include "runtime/ops/elementwise.h"

namespace trireme::launch {

using parallel::Box;
using parallel::CopyRun;
using parallel::UnitMemory;
using runtime::View;

namespace {

/// Of rows that are compared at a time: enough for the messages to be long, little beside a model.
constexpr int64_t kChunkElements = int64_t{1} << 20;

/// Boxes of whole rows, of at most kChunkElements unless a row is longer.
std::vector<Box> row_chunks(const std::vector<int64_t>& shape) {
  const Box all = parallel::whole(shape);
  const int64_t row = std::max<int64_t>(1, all.elements() / std::max<int64_t>(1, shape.front()));
  const int64_t rows = std::max<int64_t>(1, kChunkElements / row);
  std::vector<Box> chunks;
  for (int64_t begin = 0; begin < shape.front(); begin += rows) {
    Box chunk = all;
    chunk.start.front() = begin;
    chunk.size.front() = std::min(rows, shape.front() - begin);
    chunks.push_back(std::move(chunk));
  }
  return chunks;
}

std::span<float> part(std::vector<float>& values, int64_t begin, int64_t count) {
  return std::span(values).subspan(static_cast<size_t>(begin), static_cast<size_t>(count));
}

/// fp32 or bf16 in device memory, as floats.
void read_floats(runtime::Stream& stream, const View& view, std::span<float> values) {
  if (view.dtype == runtime::DType::fp32) {
    runtime::copy_to_host(stream, view, std::as_writable_bytes(values));
    return;
  }
  std::vector<runtime::bf16> narrow(values.size());
  runtime::copy_to_host(stream, view, std::as_writable_bytes(std::span(narrow)));
  std::ranges::copy(narrow, values.begin());
}

float as_stored(float value, runtime::DType storage) {
  return storage == runtime::DType::bf16 ? static_cast<float>(runtime::bf16(value)) : value;
}

}  // namespace

/// What this rank adds up in a pass, by kind and tensor.
struct SideComparison::Sums {
  Sums(size_t kinds, size_t tensors) : sizes(kinds, std::vector<Extent>(tensors)), differences(sizes) {}

  /// With the other ranks' differences; sizes are the same everywhere. Collective.
  std::vector<TensorComparisons> gather(runtime::Communicator& world) const {
    std::vector<double> own;
    for (const std::vector<Extent>& kind : differences) {
      for (const Extent& extent : kind) own.insert(own.end(), {extent.squares, extent.largest});
    }
    const auto n = static_cast<int64_t>(own.size());
    std::vector<double> all(own.size() * static_cast<size_t>(world.size()));
    world
        .all_gather(runtime::view_of(std::span<const double>(own), {n}),
                    runtime::view_of(std::span(all), {n * world.size()}))
        .wait();
    std::vector<TensorComparisons> gathered(sizes.size(), TensorComparisons(sizes.front().size()));
    for (size_t i = 0; i < all.size() / 2; ++i) {
      const size_t kind = i / sizes.front().size() % sizes.size();
      const size_t tensor = i % sizes.front().size();
      gathered[kind][tensor].size = sizes[kind][tensor];
      gathered[kind][tensor].ranks.push_back({.squares = all[2 * i], .largest = all[2 * i + 1]});
    }
    return gathered;
  }

  std::vector<std::vector<Extent>> sizes;
  std::vector<std::vector<Extent>> differences;
};

SideComparison::SideComparison(runtime::Communicator& world, VerifySide& asked, VerifySide* reference)
    : world_(world),
      asked_(asked),
      reference_(reference),
      tensors_(named_tensors(asked.settings().config)),
      owned_(owned_pieces(asked.trainer(), tensors_)),
      read_(read_pieces(asked.trainer(), tensors_)) {
  if (reference_ != nullptr) reference_pieces_ = owned_pieces(reference_->trainer(), tensors_);
}

int64_t SideComparison::buffer_bytes(const model::ModelConfig& config) {
  int64_t most = 0;
  for (const NamedTensor& tensor : named_tensors(config)) {
    most = std::max(most, row_chunks(tensor.shape).front().elements());
  }
  constexpr int64_t kBuffers = 8;  // seven of floats, and what is narrower
  return kBuffers * 4 * most;
}

/// Elements of a piece that a run leads to.
View SideComparison::range_of(const HeldPiece& piece, Range range, const CopyRun& run) {
  return (asked_.trainer().units[piece.unit].memory.*range).range(piece.begin + run.to_begin, {run.elements});
}

/// values := those of a side's tensor in `chunk`, on all ranks: each element comes from the one rank whose record
/// counts, and the others add zeros to it, which changes no bits.
void SideComparison::bring(VerifySide* side, const HeldPieces& pieces, size_t tensor, Range range, const Box& chunk,
                           Values& values) {
  values.assign(static_cast<size_t>(chunk.elements()), 0.0f);
  if (side != nullptr) {
    for (const HeldPiece& piece : pieces[tensor]) {
      if (!piece.is_record) continue;
      const View held = side->trainer().units[piece.unit].memory.*range;
      for (const CopyRun& run : parallel::copy_runs(chunk, piece.box)) {
        read_floats(side->stream(), held.range(piece.begin + run.to_begin, {run.elements}),
                    part(values, run.from_begin, run.elements));
      }
    }
  }
  world_.all_reduce(runtime::view_of(std::span(values), {chunk.elements()}), runtime::ReduceOp::sum).wait();
}

std::vector<std::optional<std::string>> SideComparison::ownership_flaws() {
  std::vector<int64_t> mine;  // tensor, then start and size of each axis
  for (size_t tensor = 0; tensor < tensors_.size(); ++tensor) {
    for (const HeldPiece& piece : owned_[tensor]) {
      mine.push_back(static_cast<int64_t>(tensor));
      mine.insert(mine.end(), piece.box.start.begin(), piece.box.start.end());
      mine.insert(mine.end(), piece.box.size.begin(), piece.box.size.end());
    }
  }
  const auto bytes = std::as_bytes(std::span(mine));
  std::vector<std::vector<Box>> boxes(tensors_.size());
  for (const std::string& text :
       runtime::all_gather_bytes(world_, {reinterpret_cast<const char*>(bytes.data()), bytes.size()})) {
    std::vector<int64_t> numbers(text.size() / sizeof(int64_t));
    std::memcpy(numbers.data(), text.data(), text.size());
    for (auto next = numbers.begin(); next != numbers.end();) {
      const auto tensor = static_cast<size_t>(*next++);
      const auto axes = static_cast<std::ptrdiff_t>(tensors_[tensor].shape.size());
      boxes[tensor].push_back({.start = {next, next + axes}, .size = {next + axes, next + 2 * axes}});
      next += 2 * axes;
    }
  }
  std::vector<std::optional<std::string>> flaws;
  for (size_t tensor = 0; tensor < tensors_.size(); ++tensor) {
    flaws.push_back(partition_flaw(tensors_[tensor].shape, std::move(boxes[tensor])));
  }
  return flaws;
}

/// Until parameters that are on their way have arrived: all ranks of dp hold the same units and call this in the same
/// order.
void SideComparison::await_parameters(size_t tensor) {
  for (const HeldPiece& piece : read_[tensor]) asked_.trainer().shards.read(piece.unit);
}

/// `masters_` holds the owner's.
void SideComparison::compare_copies(size_t tensor, const Box& chunk, Extent& difference) {
  const auto compare = [&](const HeldPieces& pieces, Range range) {
    for (const HeldPiece& piece : pieces[tensor]) {
      for (const CopyRun& run : parallel::copy_runs(chunk, piece.box)) {
        const View view = range_of(piece, range, run);
        const std::span<float> held = part(held_, run.from_begin, run.elements);
        read_floats(asked_.stream(), view, held);
        const std::span<float> masters = part(masters_, run.from_begin, run.elements);
        for (size_t i = 0; i < held.size(); ++i) {
          difference.add(static_cast<double>(held[i]) - as_stored(masters[i], view.dtype));
        }
      }
    }
  };
  held_.resize(masters_.size());
  compare(owned_, &UnitMemory::masters);
  compare(read_, &UnitMemory::parameters);
}

StartComparison SideComparison::start() {
  Sums sums(2, tensors_.size());
  for (size_t tensor = 0; tensor < tensors_.size(); ++tensor) {
    await_parameters(tensor);
    for (const Box& chunk : row_chunks(tensors_[tensor].shape)) {
      bring(reference_, reference_pieces_, tensor, &UnitMemory::masters, chunk, expected_);
      bring(&asked_, owned_, tensor, &UnitMemory::masters, chunk, masters_);
      compare_copies(tensor, chunk, sums.differences[1][tensor]);
      for (const HeldPiece& piece : owned_[tensor]) {
        for (const CopyRun& run : parallel::copy_runs(chunk, piece.box)) {
          const std::span<float> held = part(held_, run.from_begin, run.elements);
          read_floats(asked_.stream(), range_of(piece, &UnitMemory::masters, run), held);
          add_differences(held, part(expected_, run.from_begin, run.elements), sums.differences[0][tensor]);
        }
      }
    }
  }
  std::vector<TensorComparisons> gathered = sums.gather(world_);
  return {.weights = std::move(gathered[0]), .copies = std::move(gathered[1])};
}

TensorComparisons SideComparison::gradients() {
  Sums sums(1, tensors_.size());
  for (size_t tensor = 0; tensor < tensors_.size(); ++tensor) {
    for (const Box& chunk : row_chunks(tensors_[tensor].shape)) {
      bring(reference_, reference_pieces_, tensor, &UnitMemory::gradient_part, chunk, expected_);
      for (const float value : expected_) sums.sizes[0][tensor].add(value);
      held_.resize(expected_.size());
      for (const HeldPiece& piece : owned_[tensor]) {
        for (const CopyRun& run : parallel::copy_runs(chunk, piece.box)) {
          const std::span<float> held = part(held_, run.from_begin, run.elements);
          read_floats(asked_.stream(), range_of(piece, &UnitMemory::gradient_part, run), held);
          add_differences(held, part(expected_, run.from_begin, run.elements), sums.differences[0][tensor]);
        }
      }
    }
  }
  return std::move(sums.gather(world_).front());
}

StateComparison SideComparison::state(const UpdateTerms& terms) {
  Sums sums(4, tensors_.size());
  for (size_t tensor = 0; tensor < tensors_.size(); ++tensor) {
    await_parameters(tensor);
    for (const Box& chunk : row_chunks(tensors_[tensor].shape)) {
      bring(reference_, reference_pieces_, tensor, &UnitMemory::masters, chunk, expected_);
      bring(reference_, reference_pieces_, tensor, &UnitMemory::exp_avg, chunk, expected_m_);
      bring(reference_, reference_pieces_, tensor, &UnitMemory::exp_avg_sq, chunk, expected_v_);
      bring(&asked_, owned_, tensor, &UnitMemory::masters, chunk, masters_);
      for (const float value : expected_m_) sums.sizes[0][tensor].add(value);
      for (const float value : expected_v_) sums.sizes[1][tensor].add(value);
      compare_state(tensor, chunk, terms, sums);
      compare_copies(tensor, chunk, sums.differences[3][tensor]);
      take_state(tensor, chunk);
    }
  }
  model::round_masters(asked_.stream(), asked_.trainer().units);
  asked_.trainer().shards.parameters_changed();
  std::vector<TensorComparisons> gathered = sums.gather(world_);
  return {.exp_avg = std::move(gathered[0]),
          .exp_avg_sq = std::move(gathered[1]),
          .update = std::move(gathered[2]),
          .copies = std::move(gathered[3])};
}

void SideComparison::compare_state(size_t tensor, const Box& chunk, const UpdateTerms& terms, Sums& sums) {
  for (Values* values : {&held_, &held_m_, &held_v_}) values->resize(expected_.size());
  for (const HeldPiece& piece : owned_[tensor]) {
    for (const CopyRun& run : parallel::copy_runs(chunk, piece.box)) {
      const int64_t begin = run.from_begin;
      read_floats(asked_.stream(), range_of(piece, &UnitMemory::masters, run), part(held_, begin, run.elements));
      read_floats(asked_.stream(), range_of(piece, &UnitMemory::exp_avg, run), part(held_m_, begin, run.elements));
      read_floats(asked_.stream(), range_of(piece, &UnitMemory::exp_avg_sq, run), part(held_v_, begin, run.elements));
      add_differences(part(held_m_, begin, run.elements), part(expected_m_, begin, run.elements),
                      sums.differences[0][tensor]);
      add_differences(part(held_v_, begin, run.elements), part(expected_v_, begin, run.elements),
                      sums.differences[1][tensor]);
      for (auto i = static_cast<size_t>(begin); i < static_cast<size_t>(begin + run.elements); ++i) {
        sums.differences[2][tensor].add(
            unexplained_update({.parameter = held_[i], .m = held_m_[i], .v = held_v_[i]},
                               {.parameter = expected_[i], .m = expected_m_[i], .v = expected_v_[i]}, terms));
      }
    }
  }
}

void SideComparison::take_state(size_t tensor, const Box& chunk) {
  for (const HeldPiece& piece : owned_[tensor]) {
    for (const CopyRun& run : parallel::copy_runs(chunk, piece.box)) {
      const auto give = [&](Values& values, Range range) {
        runtime::copy_from_host(asked_.stream(), std::as_bytes(part(values, run.from_begin, run.elements)),
                                range_of(piece, range, run));
      };
      give(expected_, &UnitMemory::masters);
      give(expected_m_, &UnitMemory::exp_avg);
      give(expected_v_, &UnitMemory::exp_avg_sq);
    }
  }
}

}  // namespace trireme::launch
