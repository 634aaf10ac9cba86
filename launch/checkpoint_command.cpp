#include "launch/checkpoint_command.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <map>
#include <optional>
#include <vector>

#include "checkpoint/diff.h"
#include "checkpoint/load.h"
#include "checkpoint/merge.h"
#include "checkpoint/retention.h"
#include "checkpoint/step_directory.h"
#include "checkpoint/verify.h"
#include "launch/commands.h"
#include "launch/json_text.h"
#include "launch/layout.h"
#include "launch/number_text.h"
#include "runtime/error.h"

namespace trireme::launch {
namespace {

using checkpoint::Manifest;
using runtime::Error;
using runtime::ErrorKind;
using runtime::real_files;

// The steps that a path stands for, oldest first: all of a run, or a step itself.
std::vector<std::string> steps_at(const std::string& path) {
  std::filesystem::path directory(path);
  if (!directory.has_filename()) directory = directory.parent_path();  // "RUN/"
  if (real_files().is_directory(path)) {
    const bool named_so =
        checkpoint::step_of_name(std::filesystem::absolute(directory).filename().string()).has_value();
    if (named_so || real_files().exists(path + "/manifest.json")) return {directory.string()};
    const std::string checkpoints = (directory / "checkpoints").string();
    if (real_files().is_directory(checkpoints)) {
      std::vector<std::string> steps;
      for (int64_t step : checkpoint::committed_steps(real_files(), checkpoints)) {
        steps.push_back(checkpoint::step_directory(checkpoints, step));
      }
      return steps;
    }
  }
  throw Error(ErrorKind::usage, path + " is neither a run (a directory with checkpoints/) nor a step directory of one");
}

std::string newest_step(const std::string& path) {
  const std::vector<std::string> steps = steps_at(path);
  if (steps.empty()) throw Error(ErrorKind::usage, path + " has no checkpoint yet");
  return steps.back();
}

/// Where a step directory lies in a run.
struct RunStep {
  std::string checkpoints;
  int64_t step = 0;
};

/// Nothing for a step that was copied out of its run, under another name.
std::optional<RunStep> in_run(const std::string& step_directory) {
  const std::filesystem::path path = std::filesystem::absolute(step_directory).lexically_normal();
  const std::optional<int64_t> step = checkpoint::step_of_name(path.filename().string());
  if (!step) return std::nullopt;
  return RunStep{.checkpoints = path.parent_path().string(), .step = *step};
}

/// A step that is named is that one, whatever is in it.
std::string newest_good_step(const std::string& path) {
  std::vector<std::string> steps = steps_at(path);
  if (!steps.empty() && std::filesystem::equivalent(steps.front(), path)) return steps.front();
  while (!steps.empty() && !checkpoint::verify(real_files(), steps.back()).empty()) steps.pop_back();
  if (steps.empty()) throw Error(ErrorKind::usage, path + " has no good checkpoint");
  return steps.back();
}

RunStep step_to_pin(const std::string& path) {
  const std::optional<RunStep> step = in_run(newest_good_step(path));
  if (step) return *step;
  throw Error(ErrorKind::usage,
              path + " is not a step of a run (RUN/checkpoints/step-...): nothing there is ever deleted");
}

bool is_pinned(const RunStep& step) {
  const std::vector<int64_t> pinned = checkpoint::pinned_steps(real_files(), step.checkpoints);
  return std::ranges::find(pinned, step.step) != pinned.end();
}

std::string pinned_text(const std::string& step_directory) {
  const std::optional<RunStep> step = in_run(step_directory);
  return step && is_pinned(*step) ? ", pinned" : "";
}

int64_t total_bytes(const Manifest& manifest) {
  int64_t bytes = 0;
  for (const checkpoint::StoredFile& file : manifest.files) bytes += file.bytes;
  return bytes;
}

// A parameter and its moments share a line: "h.0.ln_1.weight  (64) fp32  exp_avg, exp_avg_sq, parameter".
void print_tensors(const Manifest& manifest) {
  std::map<std::string, std::string> kinds_of;
  for (const checkpoint::StoredTensor& tensor : manifest.tensors) {
    std::string& kinds =
        kinds_of[tensor.name + "  " + shape_text(tensor.global_shape) + " " + std::string(name(tensor.dtype))];
    kinds += (kinds.empty() ? "" : ", ") + tensor.kind;
  }
  for (const auto& [tensor, kinds] : kinds_of) std::cout << "  " << tensor << "  " << kinds << "\n";
}

}  // namespace

int run_checkpoint(const CheckpointOptions& options) {
  if (options.action == "list") return checkpoint_list(options.paths[0]);
  if (options.action == "show") return checkpoint_show(options.paths[0]);
  if (options.action == "verify") return checkpoint_verify(options.paths[0]);
  if (options.action == "merge") return checkpoint_merge(options);
  if (options.action == "pin") return checkpoint_pin(options.paths[0]);
  if (options.action == "unpin") return checkpoint_unpin(options.paths[0]);
  return checkpoint_diff(options.paths[0], options.paths[1]);
}

int checkpoint_list(const std::string& path) {
  const std::vector<std::string> steps = steps_at(path);
  if (steps.empty()) std::cout << path << " has no checkpoint yet\n";
  for (const std::string& directory : steps) {
    try {
      const Manifest manifest = checkpoint::read_manifest(real_files(), directory);
      std::cout << "step " << manifest.step << ": " << bytes_text(total_bytes(manifest)) << " in "
                << counted(std::ssize(manifest.files), "file") << ", "
                << counted(std::ssize(manifest.tensors), "tensor") << ", " << layout_text(manifest.layout)
                << ", attempt " << manifest.attempt << " of run " << manifest.run_id << pinned_text(directory) << "\n";
    } catch (const Error& error) {
      std::cout << directory << ": " << error.what() << pinned_text(directory) << "\n";
    }
  }
  return 0;
}

int checkpoint_show(const std::string& path) {
  const std::string directory = newest_step(path);
  const Manifest manifest = checkpoint::read_manifest(real_files(), directory);
  std::cout << directory << "\nstep " << manifest.step << ", attempt " << manifest.attempt << " of run "
            << manifest.run_id << ", ";
  if (manifest.parent_step < 0) {
    std::cout << "the first that was saved\n";
  } else {
    std::cout << "saved after step " << manifest.parent_step << "\n";
  }
  std::cout << "layout " << json_text(manifest.layout) << "state " << json_text(manifest.state);
  std::cout << counted(std::ssize(manifest.tensors), "tensor") << "\n";
  print_tensors(manifest);
  std::cout << counted(std::ssize(manifest.files), "file") << "\n";
  for (const checkpoint::StoredFile& file : manifest.files) {
    std::cout << "  " << file.name << "  " << bytes_text(file.bytes) << "  CRC32C " << checkpoint::crc_text(file.crc32c)
              << "\n";
  }
  return 0;
}

int checkpoint_verify(const std::string& path) {
  const std::string directory = newest_step(path);
  const std::vector<std::string> problems = checkpoint::verify(real_files(), directory);
  for (const std::string& problem : problems) std::cout << problem << "\n";
  std::cout << directory << (problems.empty() ? ": good\n" : ": damaged\n");
  return problems.empty() ? 0 : 1;
}

int checkpoint_pin(const std::string& path) {
  const RunStep step = step_to_pin(path);
  checkpoint::pin_step(real_files(), step.checkpoints, step.step);
  std::cout << "step " << step.step << " is pinned: no run deletes it\n";
  return 0;
}

int checkpoint_unpin(const std::string& path) {
  const RunStep step = step_to_pin(path);
  const std::string title = "step " + std::to_string(step.step);
  const bool was_pinned = is_pinned(step);
  checkpoint::unpin_step(real_files(), step.checkpoints, step.step);
  std::cout << title << (was_pinned ? " is no longer pinned\n" : " was not pinned\n");
  return 0;
}

int checkpoint_diff(const std::string& a, const std::string& b) {
  const std::string first = newest_step(a);
  const std::string second = newest_step(b);
  const std::vector<std::string> differences = checkpoint::diff(real_files(), first, second);
  for (const std::string& difference : differences) std::cout << difference << "\n";
  std::cout << first << " and " << second << (differences.empty() ? " are identical\n" : " differ\n");
  return differences.empty() ? 0 : 1;
}

int checkpoint_merge(const CheckpointOptions& options) {
  const std::filesystem::path target = std::filesystem::absolute(options.output);
  if (real_files().exists((target.parent_path() / "manifest.json").string())) {
    throw Error(ErrorKind::usage, "--output " + options.output + " is inside a checkpoint; choose another place");
  }
  const std::string directory = newest_step(options.paths[0]);
  const checkpoint::Merged merged = checkpoint::merge(real_files(), {.step_directory = directory,
                                                                     .output = options.output,
                                                                     .tensors = options.tensors,
                                                                     .with_optimizer = options.with_optimizer,
                                                                     .overwrite = options.overwrite});
  std::cout << options.output << ": " << counted(merged.tensors, "tensor") << ", " << bytes_text(merged.bytes)
            << ", of " << directory << "\n";
  return 0;
}

}  // namespace trireme::launch
