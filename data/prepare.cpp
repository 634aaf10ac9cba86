#include "data/prepare.h"

#include <algorithm>
#include <filesystem>
#include <map>

#include "data/document_split.h"
#include "data/documents.h"
#include "data/output_directory.h"
#include "data/split_writer.h"
#include "data/token_dataset.h"
#include "runtime/digest.h"
#include "runtime/error.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;

namespace {

runtime::Hash128 hash_of(std::string_view document) {
  return runtime::xxh3_128(std::as_bytes(std::span(document)));
}

void check_options(const PrepareOptions& options) {
  if (!(options.validation_fraction >= 0 && options.validation_fraction < 1)) {
    throw Error(ErrorKind::usage, "--validation-fraction " + std::to_string(options.validation_fraction) +
                                      " is outside [0, 1): 0.1 holds back a tenth, 0 nothing");
  }
  if (options.output.empty()) throw Error(ErrorKind::usage, "no --output: name the directory of the new dataset");
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

/// What the first pass knows of the dataset: all but the splits' contents.
DatasetManifest describe(const Tokenizer& tokenizer, const PrepareOptions& options, std::string inputs_digest) {
  return {.tokenizer = tokenizer.description(),
          .tokenizer_digest = tokenizer.digest(),
          .vocabulary_size = tokenizer.vocabulary_size(),
          .end_of_text = tokenizer.end_of_text(),
          .inputs_digest = std::move(inputs_digest),
          .validation_fraction = options.validation_fraction,
          .document_separator = options.document_separator,
          .shard_tokens = options.shard_tokens,
          .splits = {}};
}

/// Checks every block of the tokens.
void read_all(const TokenDataset& dataset) {
  std::vector<int32_t> ids(1 << 20);
  for (int64_t begin = 0; begin < dataset.tokens(); begin += std::ssize(ids)) {
    dataset.read(begin, std::span(ids).first(static_cast<size_t>(std::min(std::ssize(ids), dataset.tokens() - begin))));
  }
}

PrepareReport reuse(runtime::Files& files, const std::string& output, DatasetManifest expected) {
  DatasetManifest found = read_manifest(files, output);
  expected.splits = found.splits;
  if (!(found == expected)) {
    throw Error(ErrorKind::usage,
                "--output " + output +
                    " already holds a dataset of other text or options: name another directory or remove it");
  }
  try {
    for (const auto& [split, manifest] : found.splits) read_all(TokenDataset(files, output, split));
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    throw Error(ErrorKind::data, std::string(error.what()) + "; to prepare it again, remove " + output + " first");
  }
  return {.dataset = std::move(found), .already_prepared = true};
}

/// The second pass: sends every document to its split.
class DatasetWriter {
 public:
  DatasetWriter(runtime::Files& files, const Tokenizer& tokenizer, const PrepareOptions& options)
      : files_(files), tokenizer_(tokenizer), options_(options) {}

  void add(const std::string& split, std::string_view text) {
    ids_.clear();
    tokenizer_.encode(text, ids_);
    auto writer = writers_.find(split);
    if (writer == writers_.end()) {
      const ShardIdentity identity{.vocabulary_size = tokenizer_.vocabulary_size(),
                                   .end_of_text = tokenizer_.end_of_text(),
                                   .tokenizer_digest = tokenizer_.digest(),
                                   .split = split};
      writer = writers_.try_emplace(split, files_, options_.output, identity, options_.shard_tokens).first;
    }
    writer->second.add_document(static_cast<int64_t>(text.size()), ids_);
  }

  std::map<std::string, SplitManifest> finish() {
    std::map<std::string, SplitManifest> splits;
    for (auto& [split, writer] : writers_) splits[split] = writer.finish();
    return splits;
  }

 private:
  runtime::Files& files_;
  const Tokenizer& tokenizer_;
  const PrepareOptions& options_;
  std::map<std::string, SplitWriter> writers_;
  std::vector<int32_t> ids_;
};

void add_only_document(DatasetWriter& writer, std::string_view document, double fraction) {
  if (fraction == 0) return writer.add("train", document);
  const std::optional<size_t> cut = validation_cut(document, fraction);
  if (!cut.has_value()) {
    throw Error(ErrorKind::data, "the only document has " + std::to_string(document.size()) +
                                     " bytes, too few to hold some back: give more text or --validation-fraction 0");
  }
  writer.add("train", document.substr(0, *cut));
  writer.add("validation", document.substr(*cut));
}

/// The first pass.
void take_survey(runtime::Files& files, std::span<const TextFile> texts, const PrepareOptions& options,
                 CorpusSurvey& survey) {
  for_each_document(files, texts, options.document_separator,
                    [&](std::string_view document) { survey.add(document, hash_of(document)); });
  if (survey.documents() == 0) {
    throw Error(ErrorKind::data, "the corpus is empty: no text in --input " + options.inputs.front() +
                                     (options.inputs.size() > 1 ? " and the others" : ""));
  }
}

/// The second pass: all shards, then the manifest. `dataset` lacks its splits.
void write(runtime::Files& files, const Tokenizer& tokenizer, const PrepareOptions& options,
           std::span<const TextFile> texts, const CorpusSurvey& survey, DatasetManifest& dataset) {
  const DocumentSplit split(options.validation_fraction, survey);
  DatasetWriter writer(files, tokenizer, options);
  CorpusSurvey second;
  for_each_document(files, texts, options.document_separator, [&](std::string_view document) {
    const runtime::Hash128 hash = hash_of(document);
    if (survey.documents() == 1) {
      add_only_document(writer, document, options.validation_fraction);
    } else {
      writer.add(split.is_validation(hash, second.documents()) ? "validation" : "train", document);
    }
    second.add(document, hash);
  });
  dataset.splits = writer.finish();
  if (second.finish() != dataset.inputs_digest) {
    throw Error(ErrorKind::data, "the text changed while it was prepared: run `trireme prepare` again");
  }
  files.sync_directory(options.output);
  write_manifest(files, options.output, dataset);
}

}  // namespace

PrepareReport prepare(runtime::Files& files, const Tokenizer& tokenizer, const PrepareOptions& options) {
  check_options(options);
  const std::vector<TextFile> texts = list_text_files(files, options.inputs);
  std::optional<OutputDirectory> output;
  bool is_prepared = holds_dataset(files, options.output);
  if (!is_prepared) {  // a finished dataset may lie where nobody can write a lock
    output.emplace(files, options.output);
    is_prepared = holds_dataset(files, options.output);  // another process may have been faster
  }
  CorpusSurvey survey;
  take_survey(files, texts, options, survey);
  DatasetManifest dataset = describe(tokenizer, options, survey.finish());
  if (is_prepared) return reuse(files, options.output, std::move(dataset));

  output->begin();
  write(files, tokenizer, options, texts, survey, dataset);
  output->finish();
  return {.dataset = std::move(dataset), .already_prepared = false};
}

}  // namespace trireme::data
