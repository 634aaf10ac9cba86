#include "launch/data_sets.h"

#include <boost/json/array.hpp>

#include "data/training_samples.h"

namespace trireme::launch {

using data::TokenDataset;

namespace {

std::vector<TokenDataset> open(runtime::Files& files, const std::vector<std::string>& directories,
                               const std::string& split) {
  std::vector<TokenDataset> datasets;
  for (const std::string& directory : directories) datasets.emplace_back(files, directory, split);
  data::check_same_tokenizer(datasets);
  return datasets;
}

}  // namespace

std::vector<TokenDataset> open_training(runtime::Files& files, const std::vector<std::string>& directories) {
  return open(files, directories, "train");
}

std::vector<TokenDataset> open_validation(runtime::Files& files, const std::vector<std::string>& directories) {
  return open(files, directories, "validation");
}

std::vector<TokenDataset> open_validation_if_any(runtime::Files& files, const std::vector<std::string>& directories) {
  std::vector<std::string> some;
  for (const std::string& directory : directories) {
    if (data::has_split(files, directory, "validation")) some.push_back(directory);
  }
  return open(files, some, "validation");
}

boost::json::value digests_json(std::span<const TokenDataset> datasets) {
  if (datasets.empty()) return nullptr;
  if (datasets.size() == 1) return boost::json::string(datasets.front().digest());
  boost::json::array digests;
  for (const TokenDataset& dataset : datasets) digests.emplace_back(dataset.digest());
  return digests;
}

}  // namespace trireme::launch
