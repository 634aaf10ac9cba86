#include "tests/checkpoint/sample.h"

#include <algorithm>
#include <cstring>
#include <fstream>
#include <span>

#include "checkpoint/manifest.h"
#include "runtime/digest.h"
#include "runtime/files.h"
#include "runtime/local_ranks.h"

namespace trireme::tests {
namespace {

using checkpoint::TensorSlice;
using parallel::Box;

struct SampleTensor {
  std::string name;
  std::vector<int64_t> shape;
};
const std::vector<SampleTensor> kTensors = {
    {"wte.weight", {53, 12}}, {"h.0.ln_1.weight", {12}}, {"h.0.attn.c_attn.weight", {12, 36}}, {"h.1.cube", {3, 4, 5}}};
const std::vector<std::string> kKinds = {"parameter", "exp_avg", "exp_avg_sq"};

Box part_of_axis(const std::vector<int64_t>& shape, size_t axis, int rank, int world_size) {
  Box box = parallel::whole(shape);
  box.start[axis] = shape[axis] * rank / world_size;
  box.size[axis] = shape[axis] * (rank + 1) / world_size - box.start[axis];
  return box;
}

// Flat elements [begin, end) as boxes: elements of a first row, whole rows, elements of a last row; by recursion over
// the axes. `prefix` is the place along the axes that are already fixed.
void cut_flat_range(const std::vector<int64_t>& shape, std::vector<int64_t> prefix, int64_t begin, int64_t end,
                    std::vector<Box>& boxes) {
  if (begin >= end) return;
  const size_t axis = prefix.size();
  int64_t stride = 1;
  for (size_t i = axis + 1; i < shape.size(); ++i) stride *= shape[i];
  const int64_t first_whole = (begin + stride - 1) / stride;
  const int64_t last_whole = end / stride;
  const auto inside_row = [&](int64_t row, int64_t from, int64_t to) {
    std::vector<int64_t> place = prefix;
    place.push_back(row);
    cut_flat_range(shape, place, from - row * stride, to - row * stride, boxes);
  };
  if (first_whole > last_whole) return inside_row(last_whole, begin, end);
  inside_row(first_whole - 1, begin, first_whole * stride);
  if (first_whole < last_whole) {
    Box box = parallel::whole(shape);
    for (size_t i = 0; i < axis; ++i) {
      box.start[i] = prefix[i];
      box.size[i] = 1;
    }
    box.start[axis] = first_whole;
    box.size[axis] = last_whole - first_whole;
    boxes.push_back(box);
  }
  inside_row(last_whole, last_whole * stride, end);
}

std::vector<Box> boxes_of(Cut cut, size_t tensor, const std::vector<int64_t>& shape, int rank, int world_size) {
  std::vector<Box> boxes;
  const int64_t elements = parallel::whole(shape).elements();
  switch (cut) {
    case Cut::rows:
      boxes = {part_of_axis(shape, 0, rank, world_size)};
      break;
    case Cut::columns:
      boxes = {part_of_axis(shape, shape.size() - 1, rank, world_size)};
      break;
    case Cut::flat:
      cut_flat_range(shape, {}, elements * rank / world_size, elements * (rank + 1) / world_size, boxes);
      break;
    case Cut::owners:
      if (static_cast<int>(tensor) % world_size == rank) boxes = {parallel::whole(shape)};
      break;
  }
  std::erase_if(boxes, [](const Box& box) { return box.elements() == 0; });
  return boxes;
}

uint32_t bits_at(const TensorSlice& slice, int64_t global_index, uint32_t seed) {
  uint32_t bits = static_cast<uint32_t>(global_index) * 2654435761u + seed * 40503u;
  for (char letter : slice.name + slice.kind) bits = (bits ^ static_cast<uint32_t>(letter)) * 16777619u;
  bits ^= bits >> 15;
  return bits == 0xdeadbeef ? 0 : bits;  // what poison() writes
}

// Calls visit(index in the slice, index in the tensor) for each element.
template <typename Visit>
void for_each_element(const TensorSlice& slice, const Visit& visit) {
  for (const parallel::CopyRun& run : copy_runs(slice.box, parallel::whole(slice.global_shape))) {
    for (int64_t i = 0; i < run.elements; ++i) visit(run.from_begin + i, run.to_begin + i);
  }
}

}  // namespace

RankState::RankState(Cut cut, int rank, int world_size) {
  for (const std::string& kind : kKinds) {
    for (size_t tensor = 0; tensor < kTensors.size(); ++tensor) {
      const auto& [name, shape] = kTensors[tensor];
      for (const Box& box : boxes_of(cut, tensor, shape, rank, world_size)) {
        std::vector<float>& memory = memory_.emplace_back(static_cast<size_t>(box.elements()));
        slices.push_back({name, kind, shape, box, runtime::view_of(std::span(memory), {box.elements()})});
      }
    }
  }
}

void RankState::fill(uint32_t seed) {
  for (const TensorSlice& slice : slices) {
    for_each_element(slice, [&](int64_t local, int64_t global) {
      const uint32_t bits = bits_at(slice, global, seed);
      std::memcpy(slice.data.as<float>() + local, &bits, sizeof bits);
    });
  }
}

void RankState::poison() {
  const uint32_t bits = 0xdeadbeef;
  for (std::vector<float>& memory : memory_) {
    for (float& value : memory) std::memcpy(&value, &bits, sizeof bits);
  }
}

bool RankState::holds(uint32_t seed) const {
  bool equal = true;
  for (const TensorSlice& slice : slices) {
    for_each_element(slice, [&](int64_t local, int64_t global) {
      uint32_t bits;
      std::memcpy(&bits, slice.data.as<float>() + local, sizeof bits);
      equal = equal && bits == bits_at(slice, global, seed);
    });
  }
  return equal;
}

void claim_sample(const std::string& checkpoints_directory, int64_t attempt) {
  runtime::Files& files = runtime::real_files();
  files.make_directory(checkpoints_directory);
  const auto is_claim = [](const std::string& name) { return name.starts_with("RUN.attempt-"); };
  if (std::ranges::any_of(files.list(checkpoints_directory), is_claim)) return;
  const std::string digits = std::to_string(attempt);
  const std::string name = "RUN.attempt-" + std::string(9 - digits.size(), '0') + digits;
  std::ofstream(checkpoints_directory + "/" + name, std::ios::app);  // ranks may meet here
}

checkpoint::SaveRequest sample_request(const std::string& checkpoints_directory, int64_t step, uint32_t seed,
                                       const RankState& rank_state) {
  claim_sample(checkpoints_directory);
  return {.checkpoints_directory = checkpoints_directory,
          .step = step,
          .run_id = "sample",
          .attempt = 1,
          .writer = {"1.2.3", "0123456789"},
          .layout = {},
          .state = {{"step", step}, {"seed", seed}},
          .slices = rank_state.slices};
}

void save_sample(const std::string& checkpoints_directory, int64_t step, uint32_t seed, Cut cut, int world_size) {
  runtime::run_local_ranks(world_size, [&](runtime::Communicator& communicator) {
    RankState rank_state(cut, communicator.rank(), world_size);
    rank_state.fill(seed);
    save(runtime::real_files(), communicator, sample_request(checkpoints_directory, step, seed, rank_state));
  });
}

std::vector<std::string> entries(const std::string& directory) {
  std::vector<std::string> names = runtime::real_files().list(directory);
  std::erase_if(names, [](const std::string& name) { return name.starts_with("RUN.attempt-"); });
  return names;
}

std::string rewritten(std::string text, const std::string& part, const std::string& replacement) {
  text.replace(text.find(part), part.size(), replacement);
  const std::string body = text.substr(0, text.rfind(",\n\"manifest_crc32c\""));
  const uint32_t crc = runtime::crc32c(std::as_bytes(std::span(body)));
  return body + ",\n\"manifest_crc32c\": \"" + checkpoint::crc_text(crc) + "\"}\n";
}

void flip_bit(const std::string& path, int64_t bit) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(bit / 8);
  const int byte = file.get();
  file.seekp(bit / 8);
  file.put(static_cast<char>(byte ^ 1 << bit % 8));
}

}  // namespace trireme::tests
