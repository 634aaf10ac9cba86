#include "data/prepare_learned.h"

#include <optional>

#include <boost/json/serialize.hpp>

#include "data/tokenizer_files.h"
#include "runtime/digest.h"
#include "runtime/error.h"
#include "runtime/json.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;
namespace json = boost::json;

namespace {

/// tokenizer.learned.json.
struct Record {
  json::object learned;
  json::object tokenizer;  ///< its description
};

std::string record_path(const std::string& directory) {
  return directory + "/" + kLearnedName;
}

/// Nothing where it is missing or damaged.
std::optional<Record> read_record(runtime::Files& files, const std::string& directory) {
  if (!files.exists(record_path(directory))) return std::nullopt;
  const std::string text = runtime::read_text(files, record_path(directory));
  try {
    const json::object object = runtime::parse_json(text).as_object();
    return Record{.learned = object.at("learned").as_object(), .tokenizer = object.at("tokenizer").as_object()};
  } catch (const std::exception&) {  // boost.json throws several types, for syntax, missing keys and kinds
    return std::nullopt;
  }
}

/// Whether the tokenizer.json in `directory` is that of the description.
bool has_file_of(runtime::Files& files, const std::string& directory, const json::object& tokenizer) {
  const std::string path = directory + "/" + kTokenizerFile;
  if (!files.exists(path)) return false;
  const json::value* expected = tokenizer.if_contains("sha256");
  return expected != nullptr && *expected == json::value(runtime::sha256(runtime::read_text(files, path)));
}

}  // namespace

json::object learned_from(const json::object& settings, const Survey& survey) {
  json::object learned = settings;
  learned["text"] = runtime::sha256(std::to_string(survey.chain.low) + " " + std::to_string(survey.chain.high));
  return learned;
}

std::unique_ptr<Tokenizer> open_finished_tokenizer(runtime::Files& files, const std::string& directory,
                                                   const json::object& tokenizer) {
  const std::string path = directory + "/" + kTokenizerFile;
  if (!files.exists(path)) return nullptr;
  if (has_file_of(files, directory, tokenizer)) return open_tokenizer(files, tokenizer, directory);
  throw Error(ErrorKind::data, path + " is not the one that the dataset was made with, it is damaged: remove this " +
                                   "file and run the same command again, which writes it anew");
}

std::unique_ptr<Tokenizer> read_learned(runtime::Files& files, const std::string& directory,
                                        const json::object& learned) {
  const std::optional<Record> record = read_record(files, directory);
  if (!record.has_value() || record->learned != learned || !has_file_of(files, directory, record->tokenizer)) {
    return nullptr;
  }
  std::unique_ptr<Tokenizer> tokenizer = open_tokenizer(files, record->tokenizer, directory);
  if (tokenizer->description() != record->tokenizer) return nullptr;  // another version of this program's
  return tokenizer;
}

void write_learned(runtime::Files& files, const std::string& directory, const json::object& learned,
                   const Tokenizer& tokenizer) {
  remove_learned(files, directory);
  // The record first: a tokenizer.json without it could be anybody's.
  const json::object record = {{"learned", learned}, {"tokenizer", tokenizer.description()}};
  runtime::write_text_atomically(files, record_path(directory), json::serialize(record) + "\n");
  runtime::write_text_atomically(files, directory + "/" + kTokenizerFile, tokenizer.file_text());
}

bool holds_learned_tokenizer(runtime::Files& files, const std::string& directory) {
  const std::optional<Record> record = read_record(files, directory);
  return record.has_value() && has_file_of(files, directory, record->tokenizer);
}

void remove_learned(runtime::Files& files, const std::string& directory) {
  if (!files.exists(record_path(directory))) return;
  if (holds_learned_tokenizer(files, directory)) {
    files.remove_all(directory + "/" + kTokenizerFile);
    files.sync_directory(directory);  // while the record still says whose it was
  }
  files.remove_all(record_path(directory));
}

}  // namespace trireme::data
