#include "checkpoint/save.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <filesystem>
#include <map>
#include <utility>

#include "checkpoint/agreement.h"
#include "checkpoint/coverage.h"
#include "checkpoint/manifest.h"
#include "checkpoint/shard_writer.h"
#include "checkpoint/step_directory.h"
#include "checkpoint/verify.h"
#include "runtime/error.h"
#include "runtime/json.h"
#include "runtime/log.h"

namespace trireme::checkpoint {
namespace {

namespace json = boost::json;
using runtime::Error;
using runtime::ErrorKind;

std::string unfinished_directory(const SaveRequest& request) {
  return step_directory(request.checkpoints_directory, request.step) + ".tmp-" + std::to_string(request.attempt);
}

std::string parent_of(std::filesystem::path directory) {
  if (!directory.has_filename()) directory = directory.parent_path();  // "RUN/checkpoints/"
  return directory.has_parent_path() ? directory.parent_path().string() : ".";
}

// First rank only. Leaves an empty unfinished directory that survives a crash.
void prepare(runtime::Files& files, const SaveRequest& request) {
  files.make_directory(request.checkpoints_directory);
  // It may have been there and yet not be durable: a process that died may have made it.
  files.sync_directory(parent_of(request.checkpoints_directory));
  sweep(files, request.checkpoints_directory);
  const std::string committed = step_directory(request.checkpoints_directory, request.step);
  if (files.exists(committed) && verify(files, committed).empty()) {
    throw Error(ErrorKind::io, committed + " is already saved");
  }
  files.make_directory(unfinished_directory(request));
  files.sync_directory(request.checkpoints_directory);
}

std::string five_digits(size_t number) {
  const std::string digits = std::to_string(number);
  return std::string(5 - std::min<size_t>(5, digits.size()), '0') + digits;
}

// The name of this rank's file; empty for a rank that writes nothing. Collective.
std::string shard_name(runtime::Communicator& communicator, bool writes) {
  const std::vector<std::string> all = runtime::all_gather_bytes(communicator, writes ? "1" : "0");
  if (!writes) return "";
  const auto index = std::count(all.begin(), all.begin() + communicator.rank(), "1");
  const auto writers = std::count(all.begin(), all.end(), "1");
  return "shard-" + five_digits(static_cast<size_t>(index)) + "-of-" + five_digits(static_cast<size_t>(writers)) +
         ".h5";
}

std::string report_text(const WrittenShard& shard) {
  json::array tensors;
  json::array slices;
  for (const StoredTensor& tensor : shard.tensors) tensors.push_back(to_json(tensor));
  for (const StoredSlice& slice : shard.slices) slices.push_back(to_json(slice));
  return json::serialize(json::object{{"tensors", tensors}, {"slices", slices}, {"file", to_json(shard.file)}});
}

// Adds what one rank wrote. Ranks that disagree about a tensor are an error.
void add_report(Manifest& manifest, std::map<std::pair<std::string, std::string>, StoredTensor>& tensors,
                const std::string& text) {
  const json::value report = runtime::parse_json(text);
  for (const json::value& entry : report.at("tensors").as_array()) {
    StoredTensor tensor = tensor_from_json(entry);
    const auto [found, added] = tensors.try_emplace({tensor.kind, tensor.name}, tensor);
    if (!added && found->second != tensor) {
      throw Error(ErrorKind::internal,
                  tensor_title(tensor.name, tensor.kind) + ": ranks disagree on its dtype or shape");
    }
  }
  for (const json::value& entry : report.at("slices").as_array()) manifest.slices.push_back(slice_from_json(entry));
  manifest.files.push_back(file_from_json(report.at("file")));
}

Manifest assemble(const SaveRequest& request, int64_t parent_step, const std::vector<std::string>& reports) {
  Manifest manifest;
  manifest.step = request.step;
  manifest.run_id = request.run_id;
  manifest.attempt = request.attempt;
  manifest.parent_step = parent_step;
  manifest.writer = request.writer;
  manifest.layout = request.layout;
  manifest.state = request.state;
  std::map<std::pair<std::string, std::string>, StoredTensor> tensors;
  for (const std::string& report : reports) {
    if (!report.empty()) add_report(manifest, tensors, report);
  }
  for (auto& [key, tensor] : tensors) manifest.tensors.push_back(std::move(tensor));
  const std::vector<std::string> problems = coverage_problems(manifest);
  if (!problems.empty()) throw Error(ErrorKind::internal, problems.front());
  return manifest;
}

// First rank only: the manifest last, then the rename that is the commit; save() makes it durable.
void commit(runtime::Files& files, const SaveRequest& request, const std::vector<std::string>& reports) {
  const std::vector<int64_t> steps = committed_steps(files, request.checkpoints_directory);
  const auto next = std::ranges::lower_bound(steps, request.step);
  const Manifest manifest = assemble(request, next == steps.begin() ? -1 : *std::prev(next), reports);
  const std::string unfinished = unfinished_directory(request);
  write_text_atomically(files, unfinished + "/manifest.json", to_text(manifest));
  // One that is there is not good, or prepare() had refused; but only to this program: it is not ours to delete.
  set_aside_step(files, request.checkpoints_directory, request.step);
  files.rename(unfinished, step_directory(request.checkpoints_directory, request.step));
}

}  // namespace

void save(runtime::Files& files, runtime::Communicator& communicator, const SaveRequest& request) {
  const std::string title = "step " + std::to_string(request.step);
  const bool first = communicator.rank() == 0;
  const auto on_first = [&](const std::function<void()>& part) { return first ? part : std::function<void()>(); };
  std::string report;
  std::optional<Failure> failure = try_together(communicator, on_first([&] { prepare(files, request); }));
  if (!failure) {
    const std::string name = shard_name(communicator, !request.slices.empty());
    failure = try_together(communicator, [&] {
      if (name.empty()) return;
      report = report_text(write_shard(files, unfinished_directory(request), name, request.slices));
    });
  }
  if (!failure) {
    const std::vector<std::string> reports = runtime::all_gather_bytes(communicator, report);
    failure = try_together(communicator, on_first([&] { commit(files, request, reports); }));
  }
  if (!failure) {
    failure = try_together(communicator, on_first([&] { files.sync_directory(request.checkpoints_directory); }));
    if (!failure) return;
    rethrow(*failure, communicator, title + " is committed, but may not survive a power loss: ");
  }
  if (first) {
    try {
      const std::string unfinished = unfinished_directory(request);
      if (files.exists(unfinished)) files.remove_all(unfinished);
    } catch (const Error& error) {  // the next save sweeps it
      runtime::log_warning(error.what());
    }
  }
  rethrow(*failure, communicator, title + " was not saved: ");
}

}  // namespace trireme::checkpoint
