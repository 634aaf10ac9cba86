#include "launch/memory_advice.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "launch/execution_words.h"
#include "launch/number_text.h"
#include "runtime/error.h"

namespace trireme::launch {
namespace {

constexpr size_t kMostSettings = 2;

/// An option with another value.
struct Change {
  std::string words;
  std::function<void(TrainOptions&)> apply;
};

/// Values of one option, the nearest first.
using Choices = std::vector<Change>;

template <typename Field, typename Value>
Change change(const std::string& name, Field TrainOptions::*field, Value value, const std::string& word) {
  return {.words = "--" + name + " " + word, .apply = [=](TrainOptions& options) { options.*field = value; }};
}

Change change(const std::string& name, int64_t TrainOptions::*field, int64_t value) {
  return change(name, field, value, std::to_string(value));
}

Choices smaller_microbatches(const Layout& asked) {
  const int64_t share = asked.microbatch_size * asked.microbatches;
  Choices choices;
  for (int64_t B = asked.microbatch_size - 1; B > 0; --B) {
    if (share % B == 0) choices.push_back(change("microbatch-size", &TrainOptions::microbatch_size, B));
  }
  return choices;
}

Choices more_recomputation(const TrainOptions& options) {
  Choices choices;
  const std::vector<std::string> words = recompute_words();  // from the least to the most
  for (auto word = std::ranges::find(words, options.recompute) + 1; word < words.end(); ++word) {
    choices.push_back(change("recompute", &TrainOptions::recompute, *word, *word));
  }
  return choices;
}

Choices higher_stages(const Layout& asked) {
  Choices choices;
  if (asked.mesh.dp == 1) return choices;
  for (int64_t stage = asked.zero_stage + 1; stage <= 3; ++stage) {
    choices.push_back(change("zero-stage", &TrainOptions::zero_stage, stage, std::to_string(stage)));
  }
  return choices;
}

Choices less_precision(const TrainOptions& options) {
  if (options.precision == "bf16") return {};
  return {change("precision", &TrainOptions::precision, std::string("bf16"), "bf16")};
}

/// Other tensor and pipeline parallelism of the same ranks, neither less than now; the fewest that share a layer first.
Choices deeper_meshes(const parallel::Mesh& mesh) {
  const int ranks = mesh.world_size();
  std::vector<parallel::Mesh> meshes;
  for (int tp = mesh.tp; tp <= ranks; ++tp) {
    for (int pp = mesh.pp; tp * pp <= ranks; ++pp) {
      if (ranks % (tp * pp) == 0 && tp * pp > mesh.tp * mesh.pp) meshes.push_back({.tp = tp, .pp = pp});
    }
  }
  std::ranges::stable_sort(meshes, {}, [](const parallel::Mesh& one) { return one.tp * one.pp; });
  Choices choices;
  for (const parallel::Mesh& one : meshes) {
    Change both{.words = "", .apply = [one](TrainOptions& options) {
                  options.tensor_parallel = one.tp;
                  options.pipeline_parallel = one.pp;
                }};
    if (one.tp > mesh.tp) both.words = "--tensor-parallel " + std::to_string(one.tp);
    if (one.pp > mesh.pp) {
      both.words += std::string(both.words.empty() ? "" : " ") + "--pipeline-parallel " + std::to_string(one.pp);
    }
    choices.push_back(std::move(both));
  }
  return choices;
}

class Search {
 public:
  Search(const PlannedTraining& training, const Layout& asked, int64_t limit_bytes)
      : training_(training), ranks_(asked.mesh.world_size()), limit_bytes_(limit_bytes) {}

  bool has_any() const { return !found_.empty(); }
  bool is_done() const { return found_.size() == kMostSettings; }

  /// Whether these changes together fit; then they are noted.
  bool try_changes(const std::vector<Change>& changes) {
    NearbySetting setting{.words = "", .options = training_.options};
    for (const Change& one : changes) {
      setting.words += (setting.words.empty() ? "" : " ") + one.words;
      one.apply(setting.options);
    }
    const std::optional<int64_t> needed_bytes = needed(setting.options);
    if (!needed_bytes) return false;
    setting.needed_bytes = *needed_bytes;
    if (!least_ || *needed_bytes < least_->needed_bytes) least_ = setting;
    if (*needed_bytes > limit_bytes_) return false;
    found_.push_back(std::move(setting));
    return true;
  }

  std::vector<NearbySetting> result() && {
    if (found_.empty() && least_) return {*least_};
    return std::move(found_);
  }

 private:
  /// Nothing where model, ranks and batch do not allow it.
  std::optional<int64_t> needed(const TrainOptions& options) const {
    PlannedTraining changed = training_;
    changed.options = options;
    try {
      const Layout layout = resolve_layout(options, changed.config, changed.sequence_length, ranks_);
      const model::Recompute recompute = recompute_of(options.recompute, "--recompute");
      return plan_memory(changed, layout, recompute, kFewMicrobatches).needed_bytes();
    } catch (const runtime::Error& error) {
      if (error.kind() == runtime::ErrorKind::usage) return std::nullopt;
      throw;
    }
  }

  const PlannedTraining& training_;
  int ranks_;
  int64_t limit_bytes_;
  std::vector<NearbySetting> found_;
  std::optional<NearbySetting> least_;
};

/// Of two options the first values that fit together.
void try_pairs(Search& search, const std::vector<Choices>& options) {
  for (size_t i = 0; i < options.size(); ++i) {
    for (size_t j = i + 1; j < options.size(); ++j) {
      bool fits = false;
      for (auto one = options[i].begin(); one != options[i].end() && !fits; ++one) {
        for (auto other = options[j].begin(); other != options[j].end() && !fits; ++other) {
          fits = search.try_changes({*one, *other});
        }
      }
      if (search.is_done()) return;
    }
  }
}

}  // namespace

std::vector<NearbySetting> nearby_settings(const PlannedTraining& training, const Layout& asked, int64_t limit_bytes) {
  Search search(training, asked, limit_bytes);
  const std::vector<Choices> options{smaller_microbatches(asked), more_recomputation(training.options),
                                     higher_stages(asked), less_precision(training.options)};
  for (const Choices& choices : options) {
    for (const Change& one : choices) {
      if (search.try_changes({one})) break;  // what goes further costs more
    }
    if (search.is_done()) return std::move(search).result();
  }
  if (search.has_any()) return std::move(search).result();
  try_pairs(search, options);
  if (search.has_any()) return std::move(search).result();

  // The last of each; with bf16, whose masters come on top, and without.
  std::vector<std::vector<Change>> all(2);
  for (const Choices& choices : options) {
    if (choices.empty()) continue;
    all[1].push_back(choices.back());
    if (&choices != &options.back()) all[0].push_back(choices.back());
  }
  for (const std::vector<Change>& changes : all) {
    if (changes.size() > 2 && search.try_changes(changes)) return std::move(search).result();
  }
  for (const Change& mesh : deeper_meshes(asked.mesh)) {
    bool fits = search.try_changes({mesh});
    for (auto changes = all.begin(); changes != all.end() && !fits; ++changes) {
      std::vector<Change> with_mesh{mesh};
      with_mesh.insert(with_mesh.end(), changes->begin(), changes->end());
      fits = search.try_changes(with_mesh);
    }
    if (search.is_done()) break;
  }
  return std::move(search).result();
}

std::string memory_advice(const PlannedTraining& training, const Layout& asked, int64_t limit_bytes) {
  const std::vector<NearbySetting> settings = nearby_settings(training, asked, limit_bytes);
  std::string text;
  for (const NearbySetting& setting : settings) {
    text += (text.empty() ? "with " : ", with ") + setting.words + (text.empty() ? " it needs " : " ") +
            bytes_text(setting.needed_bytes) + (text.empty() ? " a rank" : "");
  }
  if (settings.empty()) return "choose a smaller --model or --sequence-length, or more ranks";
  if (settings.front().needed_bytes <= limit_bytes) return text;
  return "nothing near it fits: the least is " + bytes_text(settings.front().needed_bytes) + " a rank with " +
         settings.front().words + "; choose a smaller --model or --sequence-length, or more ranks";
}

}  // namespace trireme::launch
