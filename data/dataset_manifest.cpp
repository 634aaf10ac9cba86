#include "data/dataset_manifest.h"

#include <boost/json.hpp>

#include "runtime/error.h"
#include "runtime/json.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;
namespace json = boost::json;

namespace {

constexpr char kFormat[] = "trireme-dataset";
constexpr int64_t kVersionMajor = 1;
constexpr int64_t kVersionMinor = 0;

int64_t integer(const json::object& object, const char* key) {
  return object.at(key).to_number<int64_t>();
}

std::string text(const json::object& object, const char* key) {
  const json::string& value = object.at(key).as_string();
  return {value.data(), value.size()};
}

json::object split_to_json(const SplitManifest& split) {
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
  for (const auto& [name, split] : manifest.splits) splits[name] = split_to_json(split);
  json::value separator;  // null: one document a file
  if (manifest.document_separator.has_value()) separator = *manifest.document_separator;
  return {{"format", kFormat},
          {"version", {kVersionMajor, kVersionMinor}},
          {"tokenizer", manifest.tokenizer},
          {"tokenizer_digest", manifest.tokenizer_digest},
          {"vocabulary_size", manifest.vocabulary_size},
          {"end_of_text", manifest.end_of_text},
          {"inputs_digest", manifest.inputs_digest},
          {"validation_fraction", manifest.validation_fraction},
          {"document_separator", separator},
          {"shard_tokens", manifest.shard_tokens},
          {"splits", splits}};
}

DatasetManifest from_json(const json::object& object) {
  DatasetManifest manifest{.tokenizer = object.at("tokenizer").as_object(),
                           .tokenizer_digest = text(object, "tokenizer_digest"),
                           .vocabulary_size = integer(object, "vocabulary_size"),
                           .end_of_text = integer(object, "end_of_text"),
                           .inputs_digest = text(object, "inputs_digest"),
                           .validation_fraction = object.at("validation_fraction").to_number<double>(),
                           .document_separator = {},
                           .shard_tokens = integer(object, "shard_tokens"),
                           .splits = {}};
  if (!object.at("document_separator").is_null()) manifest.document_separator = text(object, "document_separator");
  for (const auto& [name, split] : object.at("splits").as_object()) {
    manifest.splits[name] = split_from_json(split.as_object());
  }
  return manifest;
}

}  // namespace

std::string manifest_path(const std::string& directory) {
  return directory + "/dataset.json";
}

DatasetManifest read_manifest(runtime::Files& files, const std::string& directory) {
  const std::string mend = ": make a dataset with `trireme prepare --input TEXT --output " + directory + "`";
  if (!files.exists(directory)) throw Error(ErrorKind::usage, "data directory " + directory + " does not exist" + mend);
  const std::string path = manifest_path(directory);
  if (!files.exists(path)) {
    throw Error(ErrorKind::usage, directory + " is not a prepared dataset (it has no dataset.json)" + mend);
  }
  const std::string content = runtime::read_text(files, path);
  try {
    const json::object object = runtime::parse_json(content).as_object();
    if (text(object, "format") != kFormat)
      throw Error(ErrorKind::data, path + " is not of the format " + kFormat + mend);
    const int64_t major = object.at("version").as_array().at(0).to_number<int64_t>();
    if (major != kVersionMajor) {
      throw Error(ErrorKind::data, path + " is of version " + std::to_string(major) +
                                       ", but this program reads version " + std::to_string(kVersionMajor) +
                                       ": prepare the data again");
    }
    return from_json(object);
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
