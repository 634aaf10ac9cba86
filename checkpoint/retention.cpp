#include "checkpoint/retention.h"

#include <algorithm>
#include <string_view>

#include "checkpoint/attempt.h"
#include "checkpoint/load.h"
#include "checkpoint/step_directory.h"
#include "checkpoint/verify.h"
#include "runtime/error.h"

namespace trireme::checkpoint {
namespace {

using runtime::Error;
using runtime::ErrorKind;

constexpr size_t kFewestGood = 2;
constexpr std::string_view kPinned = ".pinned";

std::string pin_path(const std::string& checkpoints_directory, int64_t step) {
  return step_directory(checkpoints_directory, step) + std::string(kPinned);
}

/// Moves a step out of the committed ones into a directory of this attempt made for it, DIRECTORY/PREFIXstep-N.tmp-7;
/// returns that directory. Nothing is synced: the callers differ in what must be durable first.
std::string take_out(runtime::Files& files, const std::string& checkpoints_directory, const std::string& prefix,
                     int64_t step, int64_t attempt) {
  const std::string name = step_name(step);
  const std::string own = path_of_attempt(checkpoints_directory + "/" + prefix + name, attempt);
  files.make_directory(own);
  check_attempt(files, checkpoints_directory, attempt);
  try {
    files.rename(checkpoints_directory + "/" + name, own + "/" + name);
  } catch (const Error&) {
    check_attempt(files, checkpoints_directory, attempt);  // whose sweep took `own` away
    throw;
  }
  return own;
}

/// Of a format that is not known here: neither good nor bad, and not ours to delete.
enum class Quality { good, bad, unknown };

Quality quality_of(runtime::Files& files, const std::string& directory) {
  try {
    return verify(files, directory).empty() ? Quality::good : Quality::bad;
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::version) throw;
    return Quality::unknown;
  }
}

/// Whether it is there in a format that is not known here; that of a damaged manifest is known, as far as it goes.
bool is_of_unknown_format(runtime::Files& files, const std::string& directory) {
  try {
    read_manifest(files, directory);
  } catch (const Error& error) {
    const bool is_missing = error.kind() == ErrorKind::io && !files.exists(directory + "/manifest.json");
    if (error.kind() != ErrorKind::data && error.kind() != ErrorKind::version && !is_missing) throw;
    return error.kind() == ErrorKind::version;
  }
  return false;
}

/// Those that neither a rule nor a pin keeps, ascending.
std::vector<int64_t> unwanted_steps(runtime::Files& files, const std::string& checkpoints_directory,
                                    const Retention& retention, const std::vector<int64_t>& steps) {
  const std::vector<int64_t> pinned = pinned_steps(files, checkpoints_directory);
  std::vector<int64_t> unwanted;
  for (size_t i = 0; i + static_cast<size_t>(retention.keep_last) < steps.size(); ++i) {
    const bool divides = retention.keep_every > 0 && steps[i] % retention.keep_every == 0;
    if (!divides && !std::ranges::binary_search(pinned, steps[i])) unwanted.push_back(steps[i]);
  }
  return unwanted;
}

}  // namespace

void retain(runtime::Files& files, const std::string& checkpoints_directory, int64_t attempt,
            const Retention& retention, std::set<int64_t>& good) {
  if (retention.keep_last < 0 || retention.keep_every < 0)
    throw Error(ErrorKind::internal, "cannot keep the newest " + std::to_string(retention.keep_last) +
                                         " steps and every " + std::to_string(retention.keep_every) + "th");
  if (retention.keep_last == 0) return;
  const std::vector<int64_t> steps = committed_steps(files, checkpoints_directory);
  std::vector<int64_t> doomed = unwanted_steps(files, checkpoints_directory, retention, steps);
  size_t good_ones = 0;
  for (size_t i = steps.size(); i-- > 0 && good_ones < kFewestGood && !doomed.empty();) {
    const Quality quality =
        good.contains(steps[i]) ? Quality::good : quality_of(files, step_directory(checkpoints_directory, steps[i]));
    if (quality == Quality::bad) continue;
    std::erase(doomed, steps[i]);
    if (quality == Quality::unknown) continue;
    good.insert(steps[i]);
    good_ones += 1;
  }
  if (good_ones < kFewestGood) return;
  for (int64_t step : doomed) {
    if (!good.contains(step) && is_of_unknown_format(files, step_directory(checkpoints_directory, step))) continue;
    if (files.exists(pin_path(checkpoints_directory, step))) continue;  // pinned since the look above
    discard_step(files, checkpoints_directory, step, attempt);
    good.erase(step);
  }
}

void pin_step(runtime::Files& files, const std::string& checkpoints_directory, int64_t step) {
  const std::string path = pin_path(checkpoints_directory, step);
  if (!files.exists(path)) files.create(path)->sync();
  files.sync_directory(checkpoints_directory);
  const std::string directory = step_directory(checkpoints_directory, step);
  if (files.is_directory(directory)) return;
  files.remove_all(path);
  throw Error(ErrorKind::usage, directory + " is not there (any more), so it cannot be pinned");
}

void unpin_step(runtime::Files& files, const std::string& checkpoints_directory, int64_t step) {
  files.remove_all(pin_path(checkpoints_directory, step));
  files.sync_directory(checkpoints_directory);
}

std::vector<int64_t> pinned_steps(runtime::Files& files, const std::string& checkpoints_directory) {
  std::vector<int64_t> steps;
  for (const std::string& name : files.list(checkpoints_directory)) {
    if (!name.ends_with(kPinned)) continue;
    const std::string_view step_part = std::string_view(name).substr(0, name.size() - kPinned.size());
    if (const std::optional<int64_t> step = step_of_name(step_part)) steps.push_back(*step);
  }
  std::ranges::sort(steps);
  return steps;
}

void discard_step(runtime::Files& files, const std::string& checkpoints_directory, int64_t step, int64_t attempt) {
  const std::string own = take_out(files, checkpoints_directory, "trash-", step, attempt);
  files.sync_directory(checkpoints_directory);  // or a loss of power may bring back what is half removed
  files.remove_all(own);
}

void set_aside_step(runtime::Files& files, const std::string& checkpoints_directory, int64_t step, int64_t attempt) {
  const std::string own = take_out(files, checkpoints_directory, "aside-", step, attempt);
  const std::string name = step_name(step);
  files.sync_directory(own);  // or a loss of power may keep that it left and not where to
  files.rename(own + "/" + name, free_path(files, checkpoints_directory + "/aside-" + name));
  files.sync_directory(checkpoints_directory);
  files.remove_all(own);
}

void set_aside_newer(runtime::Files& files, const std::string& checkpoints_directory, int64_t step, int64_t attempt) {
  std::vector<int64_t> steps = committed_steps(files, checkpoints_directory);
  for (; !steps.empty() && steps.back() > step; steps.pop_back()) {
    set_aside_step(files, checkpoints_directory, steps.back(), attempt);
  }
}

}  // namespace trireme::checkpoint
