// `trireme data show`: which documents a step trains on. A pure function of the data sets and of what a run was told:
// no tokens are read, and nothing had to be written down while it trained.
#include <boost/json.hpp>
#include <cstdio>
#include <iostream>

#include "data/text_files.h"
#include "launch/commands.h"
#include "launch/data_sets.h"
#include "launch/json_text.h"
#include "launch/number_text.h"
#include "launch/step_order.h"
#include "runtime/error.h"

namespace trireme::launch {
namespace {

using runtime::Error;
using runtime::ErrorKind;
namespace json = boost::json;

bool is_run(runtime::Files& files, const std::string& path) {
  return files.exists(path + "/config.json") && !files.exists(path + "/dataset.json");
}

/// The options besides --step belong to one of the two forms.
StepOrder find_order(runtime::Files& files, const DataOptions& options) {
  const std::string& path = options.paths.front();
  const bool names_order = options.global_batch_size || options.sequence_length || options.seed ||
                           !options.data_weights.empty() || !options.shuffle.empty();
  if (is_run(files, path)) {
    if (options.paths.size() > 1) throw Error(ErrorKind::usage, "data show takes one run; leave the other paths out");
    if (names_order) {
      throw Error(ErrorKind::usage, path +
                                        " is a run, which knows batch, length, seed and order: leave all options "
                                        "but --step and --json out");
    }
    return step_order_of_run(files, path, options.step);
  }
  if (!options.global_batch_size || !options.sequence_length) {
    throw Error(ErrorKind::usage, "data show of " + path +
                                      ", which is no run, needs --global-batch-size and "
                                      "--sequence-length");
  }
  return step_order_of_options(options);
}

std::string hex_text(const runtime::Hash128& hash) {
  char text[33];
  std::snprintf(text, sizeof(text), "%016llx%016llx", static_cast<unsigned long long>(hash.high),
                static_cast<unsigned long long>(hash.low));
  return text;
}

/// A sample as it is shown.
struct ShownSample {
  int64_t sample = 0;
  std::string dataset;
  int64_t window = 0;
  int64_t begin = 0;  ///< first token; targets are one later, up to `end` itself
  int64_t end = 0;
  std::vector<data::DocumentSpan> documents;
};

ShownSample look_up(data::TrainingSamples& samples, int64_t sample) {
  const data::TrainingSamples::Place place = samples.at(sample);
  const int64_t T = samples.sequence_length();
  const data::TokenDataset& dataset = samples.dataset(place.source);
  const int64_t begin = place.window * T;
  return {.sample = sample,
          .dataset = dataset.name(),
          .window = place.window,
          .begin = begin,
          .end = begin + T,
          .documents = dataset.documents(begin, begin + T + 1)};
}

json::object sample_json(const ShownSample& shown) {
  json::array documents;
  for (const data::DocumentSpan& document : shown.documents) {
    documents.push_back(json::object{{"file", document.file},
                                     {"row", document.row},
                                     {"begin", document.begin},
                                     {"end", document.end},
                                     {"hash", hex_text(document.hash)}});
  }
  return {{"sample", shown.sample}, {"data", shown.dataset}, {"window", shown.window},
          {"begin", shown.begin},   {"end", shown.end},      {"documents", std::move(documents)}};
}

std::string range_text(int64_t begin, int64_t end) {
  return "tokens [" + std::to_string(begin) + ", " + std::to_string(end) + ")";
}

std::string sample_text(const ShownSample& shown) {
  std::string text = "sample " + std::to_string(shown.sample) + "  " + shown.dataset + "  window " +
                     std::to_string(shown.window) + "  " + range_text(shown.begin, shown.end) + "\n";
  for (const data::DocumentSpan& document : shown.documents) {
    text += "  " + document.file + (data::holds_rows(document.file) ? ", line " : ", document ") +
            std::to_string(document.row) + "  " + range_text(document.begin, document.end) + "  " +
            hex_text(document.hash) + "\n";
  }
  return text;
}

}  // namespace

int run_data(const DataOptions& options) {
  runtime::Files& files = runtime::real_files();
  const StepOrder order = find_order(files, options);
  const std::vector<data::TokenDataset> datasets = open_training(files, order.directories);
  if (!order.digest.is_null() && order.digest != digests_json(datasets)) {
    throw Error(ErrorKind::data, "the data of " + options.paths.front() + " has changed since: " +
                                     order.directories.front() + " is not what it was trained on");
  }
  for (const data::TokenDataset& dataset : datasets) {
    if (dataset.windows(order.sequence_length) >= 1) continue;
    throw Error(ErrorKind::usage, dataset.name() + " has " + std::to_string(dataset.tokens()) +
                                      " tokens, fewer than one sequence of --sequence-length " +
                                      std::to_string(order.sequence_length) + " and its last target");
  }
  if (order.first_sample + order.samples > data::Mixture::kMostSamples) {
    throw Error(ErrorKind::usage, "--step " + std::to_string(options.step) +
                                      " lies beyond the last sample that "
                                      "a training can have, the 2^48th");
  }
  data::TrainingSamples samples(datasets, order.sequence_length, order.order);
  if (!options.json) {
    std::cout << "step " << options.step << ": " << counted(order.samples, "sequence") << " of "
              << counted(order.sequence_length, "token") << ", from sample " << order.first_sample << " on\n";
  }
  for (int64_t i = 0; i < order.samples; ++i) {
    const ShownSample shown = look_up(samples, order.first_sample + i);
    std::cout << (options.json ? json_line(sample_json(shown)) + "\n" : sample_text(shown));
  }
  return 0;
}

}  // namespace trireme::launch
