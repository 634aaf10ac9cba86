#include "data/prepare_checks.h"

#include <algorithm>
#include <filesystem>

#include "data/documents.h"
#include "data/tokenizer_files.h"
#include "runtime/error.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;

namespace {

[[noreturn]] void refuse(const std::string& output, const std::string& other) {
  throw Error(ErrorKind::usage, "--output " + output + " already holds a dataset of other " + other +
                                    ": name another directory or remove it");
}

}  // namespace

void check_prepare_options(const PrepareOptions& options) {
  if (!(options.validation_fraction >= 0 && options.validation_fraction < 1)) {
    throw Error(ErrorKind::usage, "--validation-fraction " + std::to_string(options.validation_fraction) +
                                      " is outside [0, 1): 0.1 holds back a tenth, 0 nothing");
  }
  if (options.output.empty()) throw Error(ErrorKind::usage, "no --output: name the directory of the new dataset");
  check_text_options(options.text);
  // What is written must not be read as text.
  const auto whole_path = [](const std::string& path) {
    std::filesystem::path whole = std::filesystem::absolute(path).lexically_normal();
    return whole.has_filename() ? whole : whole.parent_path();
  };
  const std::filesystem::path output = whole_path(options.output);
  for (const std::string& input : options.inputs) {
    const std::filesystem::path root = whole_path(input);
    if (std::mismatch(root.begin(), root.end(), output.begin(), output.end()).first == root.end()) {
      throw Error(ErrorKind::usage, "--output " + options.output + " lies inside --input " + input +
                                        ": give a directory outside the text");
    }
  }
}

DatasetManifest describe_options(const PrepareOptions& options, std::span<const TextFile> texts) {
  DatasetManifest dataset{.tokenizer = {},
                          .tokenizer_digest = {},
                          .inputs_digest = {},
                          .sources = {},
                          .fates = {},
                          .validation_fraction = options.validation_fraction,
                          .document_separator = options.text.separator,
                          .text_field = options.text.field,
                          .cleaning = options.text.cleaning,
                          .unicode_version = options.text.cleaning.normal_form.has_value() ? unicode_version() : "",
                          .drop_duplicates = options.drop_duplicates,
                          .shard_tokens = options.shard_tokens,
                          .learned = {},
                          .splits = {}};
  for (const TextFile& text : texts) dataset.sources.push_back(text.path);
  return dataset;
}

void describe_tokenizer(const Tokenizer& tokenizer, DatasetManifest& dataset) {
  dataset.tokenizer = tokenizer.description();
  dataset.tokenizer_digest = tokenizer.digest();
  dataset.vocabulary_size = tokenizer.vocabulary_size();
  dataset.end_of_text = tokenizer.end_of_text();
}

void describe_text(const Survey& survey, DatasetManifest& dataset) {
  dataset.inputs_digest = survey.digest;
  dataset.fates = survey.fates;
}

void check_same_options(const DatasetManifest& found, DatasetManifest expected, const std::string& output) {
  expected.tokenizer = found.tokenizer;
  expected.tokenizer_digest = found.tokenizer_digest;
  expected.vocabulary_size = found.vocabulary_size;
  expected.end_of_text = found.end_of_text;
  expected.inputs_digest = found.inputs_digest;
  expected.sources = found.sources;
  expected.fates = found.fates;
  expected.learned = found.learned;
  expected.splits = found.splits;
  if (!(found == expected)) refuse(output, "options");
}

void check_same_tokenizer(const DatasetManifest& found, const Tokenizer& tokenizer, const std::string& output) {
  DatasetManifest expected = found;
  describe_tokenizer(tokenizer, expected);
  if (!(found == expected)) refuse(output, "text or with another tokenizer");
}

void check_same_text(const DatasetManifest& found, const Survey& survey, const std::string& output) {
  DatasetManifest expected = found;
  describe_text(survey, expected);
  if (!(found == expected)) refuse(output, "text");
}

void check_same_learning(const DatasetManifest& found, const boost::json::object& settings, const std::string& output) {
  if (found.learned.empty()) return;
  boost::json::object learned = found.learned;
  learned.erase("text");
  if (learned != settings) refuse(output, "options, with which its tokenizer was learned");
}

void check_tokenizer_file(runtime::Files& files, const std::string& text, const std::string& output) {
  const std::string path = output + "/" + kTokenizerFile;
  if (!files.exists(path) || runtime::read_text(files, path) == text) return;
  throw Error(ErrorKind::usage, "--output " + output + " holds the " + kTokenizerFile +
                                    " of another tokenizer: name a new or empty directory");
}

}  // namespace trireme::data
