// What a durable shard costs beside a raw write + fsync of the same bytes:
//   build/cpu-release/bin/shard_bench --directory DIRECTORY [--pairs 5] [--width 768]
// Each pair writes both into the directory, in turns first and second, and removes them. The bytes are those of
// gpt2-124m (--width is its C): parameters and both moments in fp32, 12 bytes a parameter, 1.49 GB, random. The raw
// write is one pwrite a tensor from the same memory, then fsync. The shard is what a save makes of one rank: CRC32C of
// the memory, HDF5, all read back, fsync. Seconds count from creating the file to the end of fsync; the ratio is that
// of the medians, raw / shard: 1 when checking and HDF5 cost nothing, and 0.8 is what is asked.
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "bench/model/bench_options.h"
#include "checkpoint/shard_writer.h"
#include "runtime/error.h"
#include "runtime/files.h"
#include "runtime/stopwatch.h"

namespace trireme::checkpoint {
namespace {

struct NamedShape {
  std::string name;
  std::vector<int64_t> shape;
};

std::vector<NamedShape> gpt2_tensors(int64_t C) {
  std::vector<NamedShape> tensors = {{"wte.weight", {50257, C}}, {"wpe.weight", {1024, C}}};
  for (int layer = 0; layer < 12; ++layer) {
    const std::string h = "h." + std::to_string(layer) + ".";
    for (const char* norm : {"ln_1", "ln_2"}) {
      tensors.push_back({h + norm + ".weight", {C}});
      tensors.push_back({h + norm + ".bias", {C}});
    }
    const auto linear = [&](const char* name, int64_t in, int64_t out) {
      tensors.push_back({h + name + ".weight", {in, out}});
      tensors.push_back({h + name + ".bias", {out}});
    };
    linear("attn.c_attn", C, 3 * C);
    linear("attn.c_proj", C, C);
    linear("mlp.c_fc", C, 4 * C);
    linear("mlp.c_proj", 4 * C, C);
  }
  tensors.push_back({"ln_f.weight", {C}});
  tensors.push_back({"ln_f.bias", {C}});
  return tensors;
}

/// The slices of one rank that holds all, and their memory.
struct State {
  std::vector<TensorSlice> slices;
  std::vector<uint32_t> memory;

  explicit State(int64_t C) {
    const std::vector<NamedShape> tensors = gpt2_tensors(C);
    int64_t elements = 0;
    for (const NamedShape& tensor : tensors) elements += 3 * parallel::whole(tensor.shape).elements();
    memory.resize(static_cast<size_t>(elements));
    uint64_t random = 1;
    for (uint32_t& value : memory) {
      random = random * 6364136223846793005u + 1442695040888963407u;
      value = static_cast<uint32_t>(random >> 32);
    }
    uint32_t* place = memory.data();
    for (const char* kind : {"parameter", "exp_avg", "exp_avg_sq"}) {
      for (const NamedShape& tensor : tensors) {
        const parallel::Box box = parallel::whole(tensor.shape);
        slices.push_back({tensor.name, kind, tensor.shape, box, {place, runtime::DType::fp32, {box.elements()}}});
        place += box.elements();
      }
    }
  }
};

std::span<const std::byte> bytes_of(const TensorSlice& slice) {
  return {static_cast<const std::byte*>(slice.data.data), static_cast<size_t>(slice.data.bytes())};
}

/// The memory itself, in pieces as a save gives them.
class MemoryBytes : public SliceBytes {
 public:
  explicit MemoryBytes(std::span<const TensorSlice> slices) : slices_(slices) {}
  std::span<const std::byte> next() override {
    while (rest_.empty()) {
      rest_ = bytes_of(slices_.front());
      slices_ = slices_.subspan(1);
    }
    const std::span<const std::byte> piece = rest_.first(std::min(rest_.size(), size_t{4} << 20));
    rest_ = rest_.subspan(piece.size());
    return piece;
  }

 private:
  std::span<const TensorSlice> slices_;
  std::span<const std::byte> rest_;
};

double raw_seconds(const State& state, const std::string& path) {
  const runtime::Stopwatch watch;
  const std::unique_ptr<runtime::File> file = runtime::real_files().create(path);
  int64_t offset = 0;
  for (const TensorSlice& slice : state.slices) {
    file->write_at(offset, bytes_of(slice));
    offset += slice.data.bytes();
  }
  file->sync();
  return watch.seconds();
}

double shard_seconds(const State& state, const std::string& directory, const std::string& name) {
  MemoryBytes bytes(state.slices);
  const runtime::Stopwatch watch;
  static_cast<void>(write_shard(runtime::real_files(), directory, name, state.slices, bytes));
  return watch.seconds();
}

double median(std::vector<double> values) {
  std::ranges::sort(values);
  return (values[(values.size() - 1) / 2] + values[values.size() / 2]) / 2;
}

void bench(const model::BenchOptions& options) {
  const std::string& directory = options.text("--directory");
  if (directory.empty()) throw options.wrong("--directory is missing: on the disk that is to be measured");
  runtime::Files& files = runtime::real_files();
  const State state(options.number("--width"));
  const double gigabytes = static_cast<double>(4 * state.memory.size()) / 1e9;
  std::printf("%.3f GB in %zu slices, into %s\n", gigabytes, state.slices.size(), directory.c_str());
  std::vector<double> raw;
  std::vector<double> shard;
  for (int64_t pair = 0; pair < options.number("--pairs"); ++pair) {
    for (bool is_raw : {pair % 2 == 0, pair % 2 != 0}) {
      const std::string name = is_raw ? "shard_bench.raw" : "shard_bench.h5";
      files.remove_all(directory + "/" + name);
      files.sync_directory(directory);
      if (is_raw) {
        raw.push_back(raw_seconds(state, directory + "/" + name));
      } else {
        shard.push_back(shard_seconds(state, directory, name));
      }
      files.remove_all(directory + "/" + name);
    }
    std::printf("raw %6.3f s, %5.2f GB/s   shard %6.3f s, %5.2f GB/s   ratio %.2f\n", raw.back(),
                gigabytes / raw.back(), shard.back(), gigabytes / shard.back(), raw.back() / shard.back());
    std::fflush(stdout);
  }
  std::printf("medians: raw %.3f s, %.2f GB/s   shard %.3f s, %.2f GB/s   ratio %.2f\n", median(raw),
              gigabytes / median(raw), median(shard), gigabytes / median(shard), median(raw) / median(shard));
}

}  // namespace
}  // namespace trireme::checkpoint

int main(int argc, char** argv) {
  try {
    trireme::checkpoint::bench(
        {"shard_bench", {{"--directory", ""}, {"--pairs", "5"}, {"--width", "768"}}, argc, argv});
  } catch (const trireme::runtime::Error& error) {
    std::cerr << error.what() << '\n';
    return error.kind() == trireme::runtime::ErrorKind::usage ? 2 : 1;
  }
  return 0;
}
