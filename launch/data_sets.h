// The prepared directories of --data, opened: several of them make a mixture (data/training_samples.h).
#pragma once

#include <boost/json/value.hpp>
#include <span>
#include <string>
#include <vector>

#include "data/token_dataset.h"
#include "runtime/files.h"

namespace trireme::launch {

/// The split of each directory, in their order. Throws Error(usage) naming both where tokenizers differ.
std::vector<data::TokenDataset> open_training(runtime::Files& files, const std::vector<std::string>& directories);
/// Validation splits of all directories, which must have one.
std::vector<data::TokenDataset> open_validation(runtime::Files& files, const std::vector<std::string>& directories);
/// Validation splits of those directories that have one.
std::vector<data::TokenDataset> open_validation_if_any(runtime::Files& files,
                                                       const std::vector<std::string>& directories);

/// The digest of one set; of several an array of them. Null: there is none.
boost::json::value digests_json(std::span<const data::TokenDataset> datasets);

}  // namespace trireme::launch
