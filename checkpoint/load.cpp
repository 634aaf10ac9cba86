#include "checkpoint/load.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <sstream>

#include "checkpoint/agreement.h"
#include "checkpoint/piece_reader.h"
#include "checkpoint/scan.h"
#include "runtime/digest.h"
#include "runtime/error.h"
#include "runtime/log.h"

namespace trireme::checkpoint {
namespace {

using runtime::Error;
using runtime::ErrorKind;

std::byte* bytes_of(const TensorSlice& slice) {
  return static_cast<std::byte*>(slice.data.data);
}

// A stored slice and everything that it has for the wanted ones.
struct Read {
  struct Target {
    const TensorSlice* slice;
    std::vector<parallel::CopyRun> runs;
  };
  const StoredSlice* stored = nullptr;
  std::vector<Target> targets;
};

void check_tensor(const Manifest& manifest, const TensorSlice& wanted, const std::string& where) {
  const std::string title = tensor_title(wanted.name, wanted.kind);
  if (wanted.global_shape.empty()) throw Error(ErrorKind::internal, title + " is wanted without axes");
  const StoredTensor* tensor = manifest.find(wanted.name, wanted.kind);
  if (tensor == nullptr) throw Error(ErrorKind::data, where + " has no " + title);
  if (tensor->dtype != wanted.data.dtype || tensor->global_shape != wanted.global_shape) {
    throw Error(ErrorKind::data, where + ": " + title + " is " + to_string(parallel::whole(tensor->global_shape)) +
                                     " " + std::string(name(tensor->dtype)) + "; " +
                                     to_string(parallel::whole(wanted.global_shape)) + " " +
                                     std::string(name(wanted.data.dtype)) + " is wanted");
  }
  if (wanted.data.elements() != wanted.box.elements()) {
    throw Error(ErrorKind::internal,
                title + ": a view " + to_string(wanted.data.shape) + " cannot hold " + to_string(wanted.box));
  }
}

// A pure function: which stored slices to read, ordered by file and offset. Proves that all that is wanted is stored.
std::vector<Read> plan_reads(const Manifest& manifest, std::span<const TensorSlice> wanted, const std::string& where) {
  std::map<std::pair<std::string_view, std::string_view>, std::vector<const StoredSlice*>> stored_of;
  for (const StoredSlice& slice : manifest.slices) stored_of[{slice.tensor, slice.kind}].push_back(&slice);
  std::map<const StoredSlice*, Read> reads;
  for (const TensorSlice& slice : wanted) {
    check_tensor(manifest, slice, where);
    int64_t missing = slice.box.elements();
    for (const StoredSlice* stored : stored_of[{slice.name, slice.kind}]) {
      std::vector<parallel::CopyRun> runs = copy_runs(stored->box, slice.box);
      if (runs.empty()) continue;
      for (const parallel::CopyRun& run : runs) missing -= run.elements;
      Read& read = reads[stored];
      read.stored = stored;
      read.targets.push_back({&slice, std::move(runs)});
    }
    if (missing != 0) {
      throw Error(ErrorKind::data, where + ": " + tensor_title(slice.name, slice.kind) + " " + to_string(slice.box) +
                                       " is not stored exactly once");
    }
  }
  std::vector<Read> ordered;
  for (auto& [stored, read] : reads) ordered.push_back(std::move(read));
  std::ranges::sort(ordered, {}, [](const Read& r) { return std::pair(r.stored->file, r.stored->offset_bytes); });
  return ordered;
}

// Copies what the elements [begin, end) of the stored slice, which lie at `piece`, have for a target.
void scatter(const Read::Target& target, const std::byte* piece, int64_t begin, int64_t end) {
  const int64_t element_bytes = runtime::size_bytes(target.slice->data.dtype);
  // Runs ascend in the stored slice: skip those that end before the piece.
  auto run = std::ranges::partition_point(
      target.runs, [&](const parallel::CopyRun& r) { return r.from_begin + r.elements <= begin; });
  for (; run != target.runs.end() && run->from_begin < end; ++run) {
    const int64_t from = std::max(run->from_begin, begin);
    const int64_t to = std::min(run->from_begin + run->elements, end);
    std::memcpy(bytes_of(*target.slice) + (run->to_begin + from - run->from_begin) * element_bytes,
                piece + (from - begin) * element_bytes, static_cast<size_t>((to - from) * element_bytes));
  }
}

// Reads the slice to its end, though less may be wanted: only the whole has a CRC.
void read_slice(runtime::File& file, const Read& read, const std::string& step_directory) {
  const StoredSlice& stored = *read.stored;
  const bool whole = read.targets.size() == 1 && read.targets[0].slice->box == stored.box;  // straight into its view
  const int64_t element_bytes = runtime::size_bytes(read.targets[0].slice->data.dtype);
  if (stored.bytes != stored.box.elements() * element_bytes) {
    throw Error(ErrorKind::data, step_directory + "/manifest.json: " + tensor_title(stored.tensor, stored.kind) + " " +
                                     to_string(stored.box) + " cannot have " + std::to_string(stored.bytes) + " bytes");
  }
  const PieceRange range{stored.offset_bytes, stored.bytes, whole ? bytes_of(*read.targets[0].slice) : nullptr};
  uint32_t crc = 0;
  read_in_pieces(file, range, [&](int64_t begin, std::span<const std::byte> piece) {
    crc = runtime::crc32c(piece, crc);
    if (whole) return;
    const int64_t end = begin + static_cast<int64_t>(piece.size());
    for (const Read::Target& target : read.targets) {
      scatter(target, piece.data(), begin / element_bytes, end / element_bytes);
    }
  });
  if (crc != stored.crc32c) throw Error(ErrorKind::data, step_directory + "/" + slice_problem(stored, crc));
}

void check_size(const Manifest& manifest, const std::string& name, runtime::File& file, const std::string& path) {
  const auto found = std::ranges::find(manifest.files, name, &StoredFile::name);
  if (found == manifest.files.end()) throw Error(ErrorKind::data, path + " is not in the manifest's list of files");
  if (file.size_bytes() != found->bytes) {
    throw Error(ErrorKind::data, path + " has " + std::to_string(file.size_bytes()) + " bytes, not " +
                                     std::to_string(found->bytes) + " as recorded");
  }
}

bool misses_a_file(runtime::Files& files, const std::string& step_directory, const Manifest& manifest) {
  if (!files.exists(step_directory + "/manifest.json")) return true;
  return std::ranges::any_of(manifest.files,
                             [&](const StoredFile& file) { return !files.exists(step_directory + "/" + file.name); });
}

// A missing file is damage of the step, and so Error(data); other Error(io) say nothing about the step.
void load_step(runtime::Files& files, const std::string& step_directory, std::span<const TensorSlice> wanted,
               Manifest& manifest) {
  try {
    manifest = read_manifest(files, step_directory);
    load(files, step_directory, manifest, wanted);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::io || !misses_a_file(files, step_directory, manifest)) throw;
    throw Error(ErrorKind::data, error.what());
  }
}

}  // namespace

Manifest read_manifest(runtime::Files& files, const std::string& step_directory) {
  const std::string path = step_directory + "/manifest.json";
  Manifest manifest = parse_manifest(read_text(files, path), path);
  std::filesystem::path directory = std::filesystem::absolute(step_directory).lexically_normal();
  if (!directory.has_filename()) directory = directory.parent_path();  // "step-000000007/"
  const std::optional<int64_t> named = step_of_name(directory.filename().string());
  if (named && *named != manifest.step) {
    throw Error(ErrorKind::data, path + " cannot be used: it is of step " + std::to_string(manifest.step) +
                                     ", but its directory is named for step " + std::to_string(*named));
  }
  return manifest;
}

void load(runtime::Files& files, const std::string& step_directory, const Manifest& manifest,
          std::span<const TensorSlice> wanted) {
  std::string open_name;
  std::unique_ptr<runtime::File> file;
  for (const Read& read : plan_reads(manifest, wanted, step_directory)) {
    if (file == nullptr || open_name != read.stored->file) {
      open_name = read.stored->file;
      file = files.open(step_directory + "/" + open_name);
      check_size(manifest, open_name, *file, step_directory + "/" + open_name);
    }
    read_slice(*file, read, step_directory);
  }
}

std::vector<std::byte> read_tensor(runtime::Files& files, const std::string& step_directory, const Manifest& manifest,
                                   const StoredTensor& tensor) {
  const parallel::Box box = parallel::whole(tensor.global_shape);
  std::vector<std::byte> bytes(static_cast<size_t>(box.elements() * size_bytes(tensor.dtype)));
  const runtime::View view{{bytes.data(), tensor.dtype, {box.elements()}}};
  const TensorSlice wanted{tensor.name, tensor.kind, tensor.global_shape, box, view};
  load(files, step_directory, manifest, {&wanted, 1});
  return bytes;
}

Loaded load_chosen(runtime::Files& files, runtime::Communicator& communicator, const std::string& checkpoints_directory,
                   int64_t step, std::span<const TensorSlice> wanted) {
  Loaded loaded{.step = step, .manifest = {}};
  const std::string directory = step_directory(checkpoints_directory, step);
  const std::optional<Failure> failure =
      try_together(communicator, [&] { load_step(files, directory, wanted, loaded.manifest); });
  if (failure) rethrow(*failure, communicator, "step " + std::to_string(step) + " cannot be loaded: ");
  return loaded;
}

std::optional<Loaded> load_newest(runtime::Files& files, runtime::Communicator& communicator,
                                  const std::string& checkpoints_directory, std::span<const TensorSlice> wanted,
                                  int64_t last_step) {
  // The first rank's view of the directory is everyone's: another host may see a rename later.
  std::string mine;
  const std::optional<Failure> unlisted = try_together(communicator, [&] {
    if (communicator.rank() != 0) return;
    for (int64_t step : committed_steps(files, checkpoints_directory)) {
      if (step <= last_step) mine += std::to_string(step) + " ";
    }
  });
  if (unlisted) rethrow(*unlisted, communicator, "");
  std::vector<int64_t> steps;
  std::istringstream words(runtime::all_gather_bytes(communicator, mine).front());
  for (int64_t step; words >> step;) steps.push_back(step);
  if (steps.empty()) return std::nullopt;

  std::string newest_problem;
  for (size_t i = steps.size(); i-- > 0;) {
    Loaded loaded{.step = steps[i], .manifest = {}};
    const std::string directory = step_directory(checkpoints_directory, steps[i]);
    const std::optional<Failure> failure =
        try_together(communicator, [&] { load_step(files, directory, wanted, loaded.manifest); });
    if (!failure) return loaded;
    if (failure->kind != ErrorKind::data) rethrow(*failure, communicator, "");
    const std::string problem = describe(*failure, communicator);
    if (newest_problem.empty()) newest_problem = problem;
    if (communicator.rank() == 0) {
      runtime::log_warning(
          "step " + std::to_string(steps[i]) + " cannot be loaded: " + problem +
          (i == 0 ? "; there is no older checkpoint" : "; falling back to step " + std::to_string(steps[i - 1])));
    }
  }
  const bool is_any = last_step == std::numeric_limits<int64_t>::max();
  throw Error(ErrorKind::data, "no checkpoint " + (is_any ? "" : "up to step " + std::to_string(last_step) + " ") +
                                   "in " + checkpoints_directory + " can be loaded" +
                                   (is_any ? "; move it away to begin anew" : "") + "; the newest: " + newest_problem);
}

}  // namespace trireme::checkpoint
