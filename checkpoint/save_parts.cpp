#include "checkpoint/save_parts.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/serialize.hpp>
#include <exception>
#include <map>
#include <utility>

#include "checkpoint/attempt.h"
#include "checkpoint/coverage.h"
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
  return path_of_attempt(step_directory(request.checkpoints_directory, request.step), request.attempt);
}

std::string five_digits(size_t number) {
  const std::string digits = std::to_string(number);
  return std::string(5 - std::min<size_t>(5, digits.size()), '0') + digits;
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

Manifest assemble(const SaveRequest& request, int64_t parent_step, std::span<const std::string> reports) {
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

}  // namespace

void prepare_save(runtime::Files& files, const SaveRequest& request) {
  const std::string run = runtime::parent_directory(request.checkpoints_directory);
  // Made anew they would hold nothing of the run but this step, and no claim of this attempt.
  for (const std::string& directory : {run, request.checkpoints_directory}) {
    if (!files.exists(directory)) {
      throw Error(ErrorKind::io, directory + " is gone: removed, renamed or no longer mounted");
    }
  }
  // It may have been there and yet not be durable: a process that died may have made it.
  files.sync_directory(run);
  check_attempt(files, request.checkpoints_directory, request.attempt, request.owner);
  sweep(files, request.checkpoints_directory, request.attempt);
  const std::string committed = step_directory(request.checkpoints_directory, request.step);
  if (files.exists(committed) && verify(files, committed).empty()) {
    throw Error(ErrorKind::io, committed + " is already saved");
  }
  files.make_directory(unfinished_directory(request));
  files.sync_directory(request.checkpoints_directory);
}

std::vector<std::string> shard_names(std::span<const int64_t> slice_counts) {
  const auto writers = std::ranges::count_if(slice_counts, [](int64_t count) { return count > 0; });
  std::vector<std::string> names;
  size_t index = 0;
  for (int64_t count : slice_counts) {
    names.push_back(
        count == 0 ? "" : "shard-" + five_digits(index++) + "-of-" + five_digits(static_cast<size_t>(writers)) + ".h5");
  }
  return names;
}

std::string write_part(runtime::Files& files, const SaveRequest& request, const std::string& shard_name,
                       SliceBytes& bytes) {
  return report_text(write_shard(files, unfinished_directory(request), shard_name, request.slices, bytes));
}

void commit_save(runtime::Files& files, const SaveRequest& request, std::span<const std::string> reports) {
  const std::vector<int64_t> steps = committed_steps(files, request.checkpoints_directory);
  const auto next = std::ranges::lower_bound(steps, request.step);
  const Manifest manifest = assemble(request, next == steps.begin() ? -1 : *std::prev(next), reports);
  const std::string unfinished = unfinished_directory(request);
  write_text_atomically(files, unfinished + "/manifest.json", to_text(manifest));
  check_attempt(files, request.checkpoints_directory, request.attempt, request.owner);
  // One that is there is not good, or prepare_save() had refused; but only to this program: it is not ours to delete.
  const std::string committed = step_directory(request.checkpoints_directory, request.step);
  if (files.exists(committed)) set_aside_step(files, request.checkpoints_directory, request.step, request.attempt);
  files.rename(unfinished, committed);
}

void settle_commit(runtime::Files& files, const SaveRequest& request) {
  files.sync_directory(request.checkpoints_directory);
}

void retain_after(runtime::Files& files, const SaveRequest& request, std::set<int64_t>& good) {
  good.insert(request.step);
  if (request.retention.keep_last == 0) return;
  try {
    retain(files, request.checkpoints_directory, request.attempt, request.retention, good);
  } catch (const Error& error) {
    // A replaced attempt is told so by its next save, or before its next line of the log.
    if (error.kind() != ErrorKind::peer) runtime::log_warning(std::string("old checkpoints stay: ") + error.what());
  } catch (const std::exception& error) {  // no memory, for example: the step is saved all the same
    runtime::log_warning(std::string("old checkpoints stay: ") + error.what());
  }
}

void abandon_save(runtime::Files& files, const SaveRequest& request) {
  try {
    const std::string unfinished = unfinished_directory(request);
    if (files.exists(unfinished)) files.remove_all(unfinished);
  } catch (const std::exception& error) {  // the next save sweeps it
    runtime::log_warning(error.what());
  }
}

}  // namespace trireme::checkpoint
