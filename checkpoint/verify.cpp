#include "checkpoint/verify.h"

#include <algorithm>

#include "checkpoint/coverage.h"
#include "checkpoint/load.h"
#include "checkpoint/manifest.h"
#include "checkpoint/scan.h"
#include "runtime/error.h"

namespace trireme::checkpoint {
namespace {

void verify_file(runtime::Files& files, const std::string& directory, const Manifest& manifest,
                 const StoredFile& expected, std::vector<std::string>& problems) {
  std::vector<StoredSlice> slices;
  std::ranges::copy_if(manifest.slices, std::back_inserter(slices),
                       [&](const StoredSlice& slice) { return slice.file == expected.name; });
  const FileScan scan = scan_file(files, directory, expected.name, std::move(slices));
  problems.insert(problems.end(), scan.bad_slices.begin(), scan.bad_slices.end());
  if (scan.file.bytes != expected.bytes) {
    problems.push_back(expected.name + ": " + std::to_string(scan.file.bytes) + " bytes, not " +
                       std::to_string(expected.bytes) + " as recorded");
  } else if (scan.file.crc32c != expected.crc32c) {
    problems.push_back(expected.name + ": CRC32C of the file " + crc_text(scan.file.crc32c) + ", not " +
                       crc_text(expected.crc32c) + " as recorded");
  }
}

// Damaged or missing, so that the step is known to be bad.
bool is_damage(runtime::Files& files, const runtime::Error& error, const std::string& path) {
  if (error.kind() == runtime::ErrorKind::data) return true;
  return error.kind() == runtime::ErrorKind::io && !files.exists(path);
}

}  // namespace

std::vector<std::string> verify(runtime::Files& files, const std::string& step_directory) {
  Manifest manifest;
  try {
    manifest = read_manifest(files, step_directory);
  } catch (const runtime::Error& error) {
    if (!is_damage(files, error, step_directory + "/manifest.json")) throw;
    return {error.what()};
  }
  std::vector<std::string> problems = coverage_problems(manifest);
  for (const StoredSlice& slice : manifest.slices) {
    if (std::ranges::find(manifest.files, slice.file, &StoredFile::name) == manifest.files.end()) {
      problems.push_back("manifest.json: " + slice.file + " has slices but is not in the list of files");
    }
  }
  for (const StoredFile& file : manifest.files) {
    try {
      verify_file(files, step_directory, manifest, file, problems);
    } catch (const runtime::Error& error) {
      if (!is_damage(files, error, step_directory + "/" + file.name)) throw;
      problems.emplace_back(error.what());
    }
  }
  return problems;
}

}  // namespace trireme::checkpoint
