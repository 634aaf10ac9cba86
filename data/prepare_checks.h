// What `prepare` checks before it works: its options, and whether a finished dataset in the output is what is asked for.
// Each comparison needs only what is known at its time, so that an answer does not wait for a pass over the text.
#pragma once

#include <span>
#include <string>

#include <boost/json/object.hpp>

#include "data/dataset_manifest.h"
#include "data/prepare_options.h"
#include "data/prepare_survey.h"
#include "data/text_files.h"
#include "data/tokenizer.h"
#include "runtime/files.h"

namespace trireme::data {

/// Bad ones are Error(usage) naming the option.
void check_prepare_options(const PrepareOptions& options);

/// The parts of a dataset's manifest that come from the options, from the tokenizer and from the text.
DatasetManifest describe_options(const PrepareOptions& options, std::span<const TextFile> texts);
void describe_tokenizer(const Tokenizer& tokenizer, DatasetManifest& dataset);
void describe_text(const Survey& survey, DatasetManifest& dataset);

/// A `found` dataset in `output` that differs from what is asked for is Error(usage). The splits and the paths of the
/// text are not compared: the same text may be called by another path.
void check_same_options(const DatasetManifest& found, DatasetManifest expected, const std::string& output);
void check_same_tokenizer(const DatasetManifest& found, const Tokenizer& tokenizer, const std::string& output);
void check_same_text(const DatasetManifest& found, const Survey& survey, const std::string& output);
/// Datasets that were not learned, and those of older versions, do not say from what: they pass.
void check_same_learning(const DatasetManifest& found, const boost::json::object& settings, const std::string& output);

/// A tokenizer.json in `output` that is another one than `text` ("": there shall be none) may be somebody's:
/// Error(usage).
void check_tokenizer_file(runtime::Files& files, const std::string& text, const std::string& output);

}  // namespace trireme::data
