#include "launch/reference_layout.h"

#include <algorithm>
#include <sstream>
#include <vector>

#include "launch/option.h"
#include "runtime/error.h"

namespace trireme::launch {

using runtime::Error;
using runtime::ErrorKind;

namespace {

constexpr int64_t kMostRanks = 1 << 20;

[[noreturn]] void refuse(const std::string& text, const std::string& what) {
  throw Error(ErrorKind::usage, "--reference-layout " + text + ": " + what);
}

struct Key {
  std::string name;
  int64_t* value;
  WholeRange range;
};

}  // namespace

ReferenceLayout parse_reference_layout(const std::string& text) {
  ReferenceLayout layout;
  const std::vector<Key> keys{{"tp", &layout.tp, {.least = 1, .most = kMostRanks}},
                              {"dp", &layout.dp, {.least = 1, .most = kMostRanks}},
                              {"pp", &layout.pp, {.least = 1, .most = kMostRanks}},
                              {"zero", &layout.zero_stage, {.least = 0, .most = 3}}};
  std::vector<std::string> seen;
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, ',');) {
    const size_t equals = word.find('=');
    const std::string name = word.substr(0, equals);
    const auto key = std::ranges::find(keys, name, &Key::name);
    if (equals == std::string::npos || key == keys.end()) {
      refuse(text, "'" + word + "' is not one of tp=N, dp=N, pp=N and zero=N, joined by commas");
    }
    if (std::ranges::find(seen, name) != seen.end()) refuse(text, name + " is given twice: leave one of them out");
    seen.push_back(name);
    try {
      *key->value = parse_whole(word.substr(equals + 1), key->range);
    } catch (const Error& error) {
      refuse(text, name + ": " + error.what());
    }
  }
  if (layout.tp * layout.dp > kMostRanks || layout.ranks() > kMostRanks) {
    refuse(text, "more than " + std::to_string(kMostRanks) + " ranks");
  }
  return layout;
}

TrainOptions reference_options(const TrainOptions& asked, const ReferenceLayout& layout) {
  const TrainOptions defaults;
  TrainOptions options = asked;
  options.tensor_parallel = layout.tp;
  options.pipeline_parallel = layout.pp;
  options.zero_stage = layout.zero_stage;
  options.pipeline_schedule = defaults.pipeline_schedule;
  options.virtual_stages = defaults.virtual_stages;
  options.recompute = defaults.recompute;
  return options;
}

}  // namespace trireme::launch
