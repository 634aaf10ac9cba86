#include "checkpoint/attempt.h"

#include <algorithm>
#include <charconv>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "checkpoint/load.h"
#include "checkpoint/step_directory.h"
#include "runtime/error.h"

namespace trireme::checkpoint {
namespace {

using runtime::Error;
using runtime::ErrorKind;

constexpr std::string_view kPrefix = "RUN.attempt-";
constexpr size_t kDigits = 9;
constexpr int64_t kMostAttempts = 999'999'999;
constexpr std::string_view kUnfinished = ".tmp-";

std::string claim_name(int64_t attempt) {
  const std::string digits = std::to_string(attempt);
  return std::string(kPrefix) + std::string(kDigits - std::min(kDigits, digits.size()), '0') + digits;
}

std::optional<int64_t> number_of(std::string_view digits) {
  int64_t number = 0;
  const auto [end, code] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (code != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return number;
}

std::optional<int64_t> attempt_of_claim(std::string_view name) {
  if (!name.starts_with(kPrefix)) return std::nullopt;
  const std::optional<int64_t> attempt = number_of(name.substr(kPrefix.size()));
  const bool is_ours = attempt && *attempt <= kMostAttempts && claim_name(*attempt) == name;
  return is_ours ? attempt : std::nullopt;
}

/// Ascending; while a run is alive the highest is never removed.
std::vector<int64_t> claims(runtime::Files& files, const std::string& directory) {
  std::vector<int64_t> attempts;
  for (const std::string& name : files.list(directory)) {
    if (const std::optional<int64_t> attempt = attempt_of_claim(name)) attempts.push_back(*attempt);
  }
  std::ranges::sort(attempts);
  return attempts;
}

/// 0: none.
int64_t highest_claim(runtime::Files& files, const std::string& directory) {
  const std::vector<int64_t> attempts = claims(files, directory);
  return attempts.empty() ? 0 : attempts.back();
}

/// The highest attempt that saved a step; 0: none. What damaged steps know of it is left out.
int64_t newest_saver(runtime::Files& files, const std::string& directory) {
  int64_t newest = 0;
  for (int64_t step : committed_steps(files, directory)) {
    const std::string path = step_directory(directory, step);
    try {
      newest = std::max(newest, read_manifest(files, path).attempt);
    } catch (const Error& error) {
      const bool is_damage = error.kind() == ErrorKind::data || error.kind() == ErrorKind::version ||
                             (error.kind() == ErrorKind::io && !files.exists(path + "/manifest.json"));
      if (!is_damage) throw;
    }
  }
  return newest;
}

/// False when another start was faster.
bool create_claim(runtime::Files& files, const std::string& directory, int64_t attempt, const std::string& owner_text) {
  const std::string path = directory + "/" + claim_name(attempt);
  if (files.exists(path)) return false;
  std::unique_ptr<runtime::File> file;
  try {
    file = files.create(path);
  } catch (const Error&) {
    // Its claim may be gone again, removed by one that is higher still.
    if (files.exists(path) || highest_claim(files, directory) > attempt) return false;
    throw;
  }
  try {
    file->append(std::as_bytes(std::span(owner_text)));
    file->sync();
  } catch (const Error&) {
    files.remove_all(path);  // a claim without a start behind it would end the run that is there
    throw;
  }
  return true;
}

/// Claims are removed by whoever is higher still, and text that is not there yet is no reason to go on.
std::string owner_of(runtime::Files& files, const std::string& claim) {
  try {
    const std::string owner = runtime::read_text(files, claim);
    return owner.empty() ? "" : " (" + owner + ")";
  } catch (const Error&) {
    return "";
  }
}

/// Two may sweep at a time: that what is to be removed is gone already is fine.
void remove_trash(runtime::Files& files, const std::string& path) {
  try {
    files.remove_all(path);
  } catch (const Error&) {
    if (files.exists(path)) throw;
  }
}

/// False when `from` is gone: its owner, or another who sweeps, was faster.
bool rename_if_there(runtime::Files& files, const std::string& from, const std::string& to) {
  try {
    files.rename(from, to);
    return true;
  } catch (const Error&) {
    if (files.exists(from)) throw;
    return false;
  }
}

/// Moves the steps out of DIRECTORY/NAME to aside-step-..., durably, then removes it. Another may do the same
/// meanwhile.
void empty_aside(runtime::Files& files, const std::string& checkpoints_directory, const std::string& name) {
  const std::string from = checkpoints_directory + "/" + name;
  std::vector<std::string> steps;
  try {
    steps = files.list(from);
  } catch (const Error&) {
    if (files.exists(from)) throw;
    return;
  }
  for (const std::string& step : steps) {
    rename_if_there(files, from + "/" + step, free_path(files, checkpoints_directory + "/aside-" + step));
  }
  files.sync_directory(checkpoints_directory);  // or a loss of power may keep the removal and not the renames
  remove_trash(files, from);
}

/// A start that died may have been moving a step aside, and its new place may not be durable: to sync checkpoints/,
/// which it left, before that place would make sure of its loss.
void settle_asides(runtime::Files& files, const std::string& checkpoints_directory) {
  for (const std::string& name : files.list(checkpoints_directory)) {
    if (!name.starts_with("aside-") || name.find(kUnfinished) == std::string::npos) continue;
    const std::string path = checkpoints_directory + "/" + name;
    try {
      if (!files.list(path).empty()) files.sync_directory(path);  // else it left for a name in checkpoints/ itself
    } catch (const Error&) {
      if (files.exists(path)) throw;
    }
  }
}

/// Takes a lower attempt's directory away by a rename, since that attempt may be writing into it; then removes it. One
/// of a step on its way aside is again of that attempt by its name, so that the next sweep ends what this one begins.
void close_directory(runtime::Files& files, const std::string& checkpoints_directory, const std::string& name,
                     int64_t attempt) {
  const std::string from = checkpoints_directory + "/" + name;
  const std::string stem = name.substr(0, name.rfind(kUnfinished));
  const std::string mark = "-of-attempt-" + std::to_string(attempt);
  if (name.starts_with("aside-")) {
    if (stem.ends_with(mark)) return empty_aside(files, checkpoints_directory, name);
    const std::string closed = path_of_attempt(stem + mark, attempt);
    if (rename_if_there(files, from, checkpoints_directory + "/" + closed)) {
      empty_aside(files, checkpoints_directory, closed);
    }
    return;
  }
  const std::string trash = checkpoints_directory + "/" + (stem.starts_with("trash-") ? "" : "trash-") + stem + mark;
  remove_trash(files, trash);  // of a sweep that was cut short
  if (rename_if_there(files, from, trash)) remove_trash(files, trash);
}

}  // namespace

int64_t claim_attempt(runtime::Files& files, const std::string& checkpoints_directory, const std::string& owner_text) {
  files.make_directory(checkpoints_directory);
  settle_asides(files, checkpoints_directory);
  int64_t attempt = newest_saver(files, checkpoints_directory);
  for (;;) {
    attempt = std::max(attempt, highest_claim(files, checkpoints_directory)) + 1;
    if (!create_claim(files, checkpoints_directory, attempt, owner_text)) continue;
    files.sync_directory(checkpoints_directory);
    // The claim may have come late, below one that was made and cleared the lower ones away since the look above.
    if (highest_claim(files, checkpoints_directory) <= attempt) break;
    files.remove_all(checkpoints_directory + "/" + claim_name(attempt));
  }
  sweep(files, checkpoints_directory, attempt);
  for (int64_t lower : claims(files, checkpoints_directory)) {
    if (lower < attempt) remove_trash(files, checkpoints_directory + "/" + claim_name(lower));
  }
  return attempt;
}

void check_attempt(runtime::Files& files, const std::string& checkpoints_directory, int64_t attempt,
                   const std::string& owner_text) {
  const std::vector<int64_t> attempts = claims(files, checkpoints_directory);
  const std::string title = "attempt " + std::to_string(attempt) + " of this run";
  if (!attempts.empty() && attempts.back() > attempt) {
    const std::string owner = owner_of(files, checkpoints_directory + "/" + claim_name(attempts.back()));
    throw Error(ErrorKind::peer, title + " was replaced by attempt " + std::to_string(attempts.back()) + owner +
                                     ", which goes on from the newest checkpoint; this one ends");
  }
  if (attempts.empty() || attempts.back() < attempt) {
    throw Error(ErrorKind::peer, "the claim " + checkpoints_directory + "/" + claim_name(attempt) +
                                     " is gone: the directory is no longer the one in which " + title +
                                     " began; this one ends");
  }
  if (owner_text.empty()) return;
  // Of a directory that was removed and made anew the numbers begin again: the same one may be another's.
  const std::string owner = runtime::read_text(files, checkpoints_directory + "/" + claim_name(attempt));
  if (owner == owner_text) return;
  throw Error(ErrorKind::peer, title + " is another start's now (" + owner +
                                   "): the directory was removed and begun anew; this one (" + owner_text + ") ends");
}

std::string path_of_attempt(const std::string& path, int64_t attempt) {
  return path + std::string(kUnfinished) + std::to_string(attempt);
}

void sweep(runtime::Files& files, const std::string& checkpoints_directory, int64_t attempt) {
  for (const std::string& name : files.list(checkpoints_directory)) {
    const bool is_trash = name.starts_with("trash-");
    if (!is_trash && !name.starts_with("step-") && !name.starts_with("aside-")) continue;
    const size_t mark = name.rfind(kUnfinished);
    const std::optional<int64_t> owner =
        mark == std::string::npos ? std::nullopt : number_of(std::string_view(name).substr(mark + kUnfinished.size()));
    if (owner && *owner <= attempt) {
      close_directory(files, checkpoints_directory, name, *owner);
    } else if (is_trash && !owner) {
      remove_trash(files, checkpoints_directory + "/" + name);
    }
  }
}

}  // namespace trireme::checkpoint
