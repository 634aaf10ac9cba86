#include "checkpoint/merge.h"

#include <algorithm>
#include <utility>

#include "checkpoint/load.h"
#include "checkpoint/merged_file.h"
#include "checkpoint/selection.h"
#include "runtime/error.h"

namespace trireme::checkpoint {
namespace {

[[noreturn]] void refuse(const MergeRequest& request, const std::string& why) {
  throw runtime::Error(runtime::ErrorKind::usage, "--output " + request.output + " " + why);
}

bool is_safetensors(const MergeRequest& request) {
  if (request.output.ends_with(".safetensors")) return true;
  if (request.output.ends_with(".h5") || request.output.ends_with(".hdf5")) return false;
  refuse(request, "names no known format: end it with .h5 or .safetensors");
}

/// Nobody's file is lost.
void check_unused(runtime::Files& files, const MergeRequest& request) {
  if (request.overwrite || !files.exists(request.output)) return;
  refuse(request, "is there already; choose another name, or --overwrite");
}

/// An hour of copying must not end in a name that cannot be taken.
void check_output(runtime::Files& files, const MergeRequest& request) {
  const std::string parent = runtime::parent_directory(request.output);
  if (!files.is_directory(parent)) refuse(request, "cannot be written: there is no directory " + parent);
  if (files.exists(request.output) && !files.is_regular_file(request.output)) {
    refuse(request, "is there and is no file; choose another name");
  }
  check_unused(files, request);
  if (files.exists(request.output + ".tmp")) {
    refuse(request, "is written as " + request.output +
                        ".tmp first, and that is there: wait for the merge that writes it, or remove it");
  }
}

std::vector<StoredTensor> selected_tensors(const Manifest& manifest, const MergeRequest& request) {
  std::vector<std::string> names;
  for (const StoredTensor& tensor : manifest.tensors) names.push_back(tensor.name);
  if (const auto idle = idle_pattern(names, request.tensors)) {
    throw runtime::Error(runtime::ErrorKind::usage,
                         "--tensors '" + *idle + "' matches no tensor of " + request.step_directory);
  }
  std::vector<StoredTensor> selected;
  std::ranges::copy_if(manifest.tensors, std::back_inserter(selected), [&](const StoredTensor& tensor) {
    return (request.with_optimizer || tensor.kind == "parameter") && is_selected(tensor.name, request.tensors);
  });
  return selected;
}

Merged write(runtime::Files& files, const MergeRequest& request, const Manifest& manifest,
             std::vector<StoredTensor> tensors, std::unique_ptr<runtime::File> output, const std::string& path) {
  const bool safetensors = is_safetensors(request);
  if (safetensors) order_for_safetensors(tensors);
  const std::unique_ptr<MergedFile> file = safetensors ? begin_safetensors(std::move(output), manifest, tensors)
                                                       : begin_merged_h5(std::move(output), path, manifest);
  Merged merged;
  for (const StoredTensor& tensor : tensors) {
    const std::vector<std::byte> elements = read_tensor(files, request.step_directory, manifest, tensor);
    file->add(tensor, elements);
    merged.tensors += 1;
    merged.bytes += static_cast<int64_t>(elements.size());
  }
  file->finish();
  return merged;
}

}  // namespace

Merged merge(runtime::Files& files, const MergeRequest& request) {
  is_safetensors(request);  // or another format, or refused
  check_output(files, request);
  const Manifest manifest = read_manifest(files, request.step_directory);
  const std::vector<StoredTensor> tensors = selected_tensors(manifest, request);
  const std::string temporary = request.output + ".tmp";
  std::unique_ptr<runtime::File> output = files.create(temporary);  // if it is there by now, it is another merge's
  Merged merged;
  try {
    merged = write(files, request, manifest, tensors, std::move(output), temporary);
    check_unused(files, request);
    files.rename(temporary, request.output);
  } catch (...) {
    try {
      files.remove_all(temporary);
    } catch (const runtime::Error&) {  // what went wrong before is what is told
    }
    throw;
  }
  files.sync_directory(runtime::parent_directory(request.output));
  return merged;
}

}  // namespace trireme::checkpoint
