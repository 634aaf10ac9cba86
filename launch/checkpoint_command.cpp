#include "launch/checkpoint_command.h"

#include <filesystem>
#include <iostream>
#include <map>
#include <vector>

#include "checkpoint/diff.h"
#include "checkpoint/load.h"
#include "checkpoint/verify.h"
#include "launch/commands.h"
#include "launch/number_text.h"
#include "launch/json_text.h"
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

int64_t total_bytes(const Manifest& manifest) {
  int64_t bytes = 0;
  for (const checkpoint::StoredFile& file : manifest.files) bytes += file.bytes;
  return bytes;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text;
  for (int64_t size : shape) text += (text.empty() ? "" : ", ") + std::to_string(size);
  return "(" + text + ")";
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
                << counted(std::ssize(manifest.tensors), "tensor") << ", attempt " << manifest.attempt << " of run "
                << manifest.run_id << "\n";
    } catch (const Error& error) {
      std::cout << directory << ": " << error.what() << "\n";
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

int checkpoint_diff(const std::string& a, const std::string& b) {
  const std::string first = newest_step(a);
  const std::string second = newest_step(b);
  const std::vector<std::string> differences = checkpoint::diff(real_files(), first, second);
  for (const std::string& difference : differences) std::cout << difference << "\n";
  std::cout << first << " and " << second << (differences.empty() ? " are identical\n" : " differ\n");
  return differences.empty() ? 0 : 1;
}

}  // namespace trireme::launch
