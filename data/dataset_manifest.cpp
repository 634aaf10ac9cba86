#include "data/dataset_manifest.h"

#include <algorithm>
#include <array>
#include <stdexcept>

#include <boost/json.hpp>

#include "runtime/error.h"
#include "runtime/json.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;
namespace json = boost::json;

namespace {

constexpr char kFormat[] = "trireme-dataset";
constexpr int64_t kVersionMajor = 2;
constexpr int64_t kVersionMinor = 0;

int64_t integer(const json::object& object, const char* key) {
  return object.at(key).to_number<int64_t>();
}

std::string text(const json::object& object, const char* key) {
  const json::string& value = object.at(key).as_string();
  return {value.data(), value.size()};
}

/// The names of InvalidUtf8's values, in their order.
constexpr std::array<const char*, 3> kInvalidUtf8Names = {"repair", "refuse", "keep"};

json::object cleaning_to_json(const CleaningOptions& cleaning) {
  json::value normal_form;  // null: none
  if (cleaning.normal_form.has_value()) normal_form = name(*cleaning.normal_form);
  return {{"invalid_utf8", kInvalidUtf8Names.at(static_cast<size_t>(cleaning.invalid_utf8))},
          {"remove_controls", cleaning.remove_controls},
          {"unix_line_ends", cleaning.unix_line_ends},
          {"normal_form", normal_form}};
}

CleaningOptions cleaning_from_json(const json::object& object) {
  CleaningOptions cleaning{.remove_controls = object.at("remove_controls").as_bool(),
                           .unix_line_ends = object.at("unix_line_ends").as_bool(),
                           .normal_form = {}};
  const auto treatment = std::ranges::find(kInvalidUtf8Names, text(object, "invalid_utf8"));
  if (treatment == kInvalidUtf8Names.end()) throw std::out_of_range("unknown invalid_utf8");
  cleaning.invalid_utf8 = static_cast<InvalidUtf8>(treatment - kInvalidUtf8Names.begin());
  if (!object.at("normal_form").is_null()) {
    cleaning.normal_form = normal_form_from_name(text(object, "normal_form"));
    if (!cleaning.normal_form.has_value()) throw std::out_of_range("unknown normal_form");
  }
  return cleaning;
}

json::object fates_to_json(const DocumentFates& fates) {
  return {{"kept", fates.kept},         {"empty", fates.empty},     {"duplicate", fates.duplicate},
          {"repaired", fates.repaired}, {"repairs", fates.repairs}, {"changed", fates.changed}};
}

DocumentFates fates_from_json(const json::object& object) {
  return {.kept = integer(object, "kept"),
          .empty = integer(object, "empty"),
          .duplicate = integer(object, "duplicate"),
          .repaired = integer(object, "repaired"),
          .repairs = integer(object, "repairs"),
          .changed = integer(object, "changed")};
}

DatasetManifest manifest_from_json(const json::object& object) {
  DatasetManifest manifest{.tokenizer = object.at("tokenizer").as_object(),
                           .tokenizer_digest = text(object, "tokenizer_digest"),
                           .vocabulary_size = integer(object, "vocabulary_size"),
                           .end_of_text = integer(object, "end_of_text"),
                           .inputs_digest = text(object, "inputs_digest"),
                           .sources = {},
                           .fates = fates_from_json(object.at("fates").as_object()),
                           .validation_fraction = object.at("validation_fraction").to_number<double>(),
                           .document_separator = {},
                           .text_field = text(object, "text_field"),
                           .cleaning = cleaning_from_json(object.at("cleaning").as_object()),
                           .unicode_version = {},
                           .drop_duplicates = object.at("drop_duplicates").as_bool(),
                           .shard_tokens = integer(object, "shard_tokens"),
                           .learned = {},
                           .splits = {}};
  for (const json::value& source : object.at("sources").as_array()) {
    manifest.sources.emplace_back(std::string_view(source.as_string()));
  }
  if (!object.at("document_separator").is_null()) manifest.document_separator = text(object, "document_separator");
  if (!object.at("unicode_version").is_null()) manifest.unicode_version = text(object, "unicode_version");
  if (const json::value* learned = object.if_contains("learned")) manifest.learned = learned->as_object();
  for (const auto& [name, split] : object.at("splits").as_object()) {
    manifest.splits[name] = split_from_json(split.as_object());
  }
  return manifest;
}

}  // namespace

json::object to_json(const SplitManifest& split) {
  json::array shards;
  for (const ShardEntry& shard : split.shards) {
    shards.push_back({{"file", shard.file}, {"tokens", shard.tokens}, {"content_digest", shard.content_digest}});
  }
  return {{"documents", split.documents}, {"bytes", split.bytes}, {"tokens", split.tokens}, {"shards", shards}};
}

SplitManifest split_from_json(const json::object& object) {
  SplitManifest split{.documents = integer(object, "documents"),
                      .bytes = integer(object, "bytes"),
                      .tokens = integer(object, "tokens"),
                      .shards = {}};
  for (const json::value& shard : object.at("shards").as_array()) {
    split.shards.push_back({.file = text(shard.as_object(), "file"),
                            .tokens = integer(shard.as_object(), "tokens"),
                            .content_digest = text(shard.as_object(), "content_digest")});
  }
  return split;
}

json::object to_json(const DatasetManifest& manifest) {
  json::object splits;
  for (const auto& [name, split] : manifest.splits) splits[name] = to_json(split);
  json::value separator;  // null: one document a file
  if (manifest.document_separator.has_value()) separator = *manifest.document_separator;
  json::value unicode_version;
  if (!manifest.unicode_version.empty()) unicode_version = manifest.unicode_version;
  json::object object = {{"format", kFormat},
                         {"version", {kVersionMajor, kVersionMinor}},
                         {"tokenizer", manifest.tokenizer},
                         {"tokenizer_digest", manifest.tokenizer_digest},
                         {"vocabulary_size", manifest.vocabulary_size},
                         {"end_of_text", manifest.end_of_text},
                         {"inputs_digest", manifest.inputs_digest},
                         {"sources", json::array(manifest.sources.begin(), manifest.sources.end())},
                         {"fates", fates_to_json(manifest.fates)},
                         {"validation_fraction", manifest.validation_fraction},
                         {"document_separator", separator},
                         {"text_field", manifest.text_field},
                         {"cleaning", cleaning_to_json(manifest.cleaning)},
                         {"unicode_version", unicode_version},
                         {"drop_duplicates", manifest.drop_duplicates},
                         {"shard_tokens", manifest.shard_tokens},
                         {"splits", splits}};
  if (!manifest.learned.empty()) object["learned"] = manifest.learned;
  return object;
}

std::string manifest_path(const std::string& directory) {
  return directory + "/dataset.json";
}

DatasetManifest read_manifest(runtime::Files& files, const std::string& directory) {
  const std::string mend = ": make a dataset with `trireme prepare --input TEXT --output " + directory + "`";
  const std::string again = ": prepare the data again, in another directory or after removing " + directory;
  if (!files.exists(directory)) throw Error(ErrorKind::usage, "data directory " + directory + " does not exist" + mend);
  const std::string path = manifest_path(directory);
  if (!files.exists(path)) {
    throw Error(ErrorKind::usage, directory + " is not a prepared dataset (it has no dataset.json)" + mend);
  }
  const std::string content = runtime::read_text(files, path);
  try {
    const json::object object = runtime::parse_json(content).as_object();
    if (text(object, "format") != kFormat)
      throw Error(ErrorKind::data, path + " is not of the format " + kFormat + again);
    const int64_t major = object.at("version").as_array().at(0).to_number<int64_t>();
    if (major != kVersionMajor) {
      throw Error(ErrorKind::data, path + " is of version " + std::to_string(major) +
                                       ", but this program reads version " + std::to_string(kVersionMajor) + again);
    }
    return manifest_from_json(object);
  } catch (const Error& error) {
    if (!std::string_view(error.what()).starts_with("line ")) throw;  // parse_json's: it knows no path
    throw Error(ErrorKind::data,
                path + " is damaged (" + error.what() + "): remove " + directory + " and prepare again");
  } catch (const std::exception& error) {  // boost.json throws several types, for syntax, missing keys and kinds
    throw Error(ErrorKind::data,
                path + " is damaged (" + error.what() + "): remove " + directory + " and prepare again");
  }
}

void write_manifest(runtime::Files& files, const std::string& directory, const DatasetManifest& manifest) {
  runtime::write_text_atomically(files, manifest_path(directory), json::serialize(to_json(manifest)) + "\n");
}

}  // namespace trireme::data
