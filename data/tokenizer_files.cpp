#include "data/tokenizer_files.h"

#include <filesystem>

#include <boost/json/serialize.hpp>

#include "data/bpe_tokenizer.h"
#include "data/byte_tokenizer.h"
#include "data/named_vocabulary.h"
#include "data/rank_file.h"
#include "data/splitter.h"
#include "data/tokenizer_json.h"
#include "runtime/digest.h"
#include "runtime/error.h"
#include "runtime/json.h"
#include "runtime/log.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;
namespace json = boost::json;

namespace {

json::object read_vocab(runtime::Files& files, const std::string& path) {
  try {
    const json::value vocab = runtime::parse_json(runtime::read_text(files, path));
    if (vocab.is_object()) return vocab.get_object();
  } catch (const Error& error) {
    if (!std::string_view(error.what()).starts_with("line ")) throw;  // parse_json's: it knows no path
    throw Error(ErrorKind::data, path + " is damaged (" + error.what() + ")");
  }
  throw Error(ErrorKind::data, path + " is not an object of tokens and their ids");
}

NamedMerges read_merges(runtime::Files& files, const std::string& path) {
  const std::string text = runtime::read_text(files, path);
  NamedMerges merges;
  std::string_view rest = text;
  for (int64_t number = 1; !rest.empty(); ++number) {
    const size_t end = rest.find('\n');
    std::string_view line = rest.substr(0, end);
    rest.remove_prefix(end == std::string_view::npos ? rest.size() : end + 1);
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    merges.push_back(named_merge(line, path + ", line " + std::to_string(number)));
  }
  return merges;
}

TokenizerParts read_gpt2(runtime::Files& files, const std::string& directory, const std::string& end_of_text) {
  const std::string vocab_path = directory + "/vocab.json";
  const json::object vocab = read_vocab(files, vocab_path);
  const std::string end = end_of_text.empty() ? "<|endoftext|>" : end_of_text;
  const json::value* id = vocab.if_contains(end);
  if (id == nullptr || !id->is_int64() || id->get_int64() < 0 || id->get_int64() >= kVocabularyLimit) {
    throw Error(ErrorKind::data,
                vocab_path + " has no token " + end + ": name the one that ends a document with --end-of-text");
  }
  TokenizerParts parts{.vocabulary = {},
                       .pattern = kGpt2Pattern,
                       .normal_forms = {},
                       .added_tokens = {{.id = static_cast<int32_t>(id->get_int64()), .content = end}},
                       .end_of_text = end,
                       .begin_of_text = {}};
  const NamedMerges merges = read_merges(files, directory + "/merges.txt");
  parts.vocabulary = vocabulary_from_names(vocab, merges, parts.added_tokens, directory);
  check_parts(parts, directory);
  return parts;
}

TokenizerParts read_ranks(runtime::Files& files, const std::string& path, const ReadTokenizerOptions& options) {
  std::string vocabulary = options.rank_vocabulary;
  const std::filesystem::path file(path);
  if (vocabulary.empty()) vocabulary = file.extension() == ".model" ? "llama3" : file.stem().string();
  if (!is_known_rank_vocabulary(vocabulary)) {
    throw Error(ErrorKind::usage, path +
                                      " says neither its pattern nor its special tokens, and its name is none of those "
                                      "known: name it " +
                                      known_rank_vocabularies() + " with .tiktoken, whichever it is");
  }
  TokenizerParts parts = parse_rank_file(runtime::read_text(files, path), vocabulary, path);
  if (!options.end_of_text.empty()) parts.end_of_text = options.end_of_text;
  check_parts(parts, path);
  return parts;
}

TokenizerParts read_directory(runtime::Files& files, const std::string& directory,
                              const ReadTokenizerOptions& options) {
  const auto has = [&](const char* name) { return files.exists(directory + "/" + name); };
  if (has(kTokenizerFile)) return read_tokenizer(files, directory + "/" + kTokenizerFile, options);
  if (has("vocab.json") && has("merges.txt")) return read_gpt2(files, directory, options.end_of_text);
  if (has("tokenizer.model")) return read_ranks(files, directory + "/tokenizer.model", options);
  throw Error(ErrorKind::usage, directory +
                                    " holds no tokenizer: neither tokenizer.json, nor vocab.json with merges.txt, nor "
                                    "tokenizer.model");
}

void warn_of_other_unicode(const json::object& recorded, const json::object& here, const char* key,
                           const std::string& path) {
  const json::value* theirs = recorded.if_contains(key);
  const json::value* ours = here.if_contains(key);
  if (theirs == nullptr || ours == nullptr || *theirs == *ours) return;
  runtime::log_warning("the ids of " + path + " were made with the tables of Unicode " + json::serialize(*theirs) +
                       ", and here are those of " + json::serialize(*ours) + " (" + key +
                       "): texts with characters that only one of them knows may get other ids");
}

}  // namespace

TokenizerParts read_tokenizer(runtime::Files& files, const std::string& path, const ReadTokenizerOptions& options) {
  if (!files.exists(path)) {
    throw Error(ErrorKind::usage, "the tokenizer " + path +
                                      " does not exist: give byte, a tokenizer.json, a *.tiktoken file or a directory "
                                      "that holds a tokenizer");
  }
  if (files.is_directory(path)) return read_directory(files, path, options);
  if (path.ends_with(".json")) {
    return parse_tokenizer_json(runtime::read_text(files, path), path, options.end_of_text);
  }
  return read_ranks(files, path, options);
}

std::unique_ptr<Tokenizer> open_tokenizer(runtime::Files& files, const json::object& description,
                                          const std::string& directory) {
  const json::value* kind = description.if_contains("kind");
  if (kind == nullptr || !kind->is_string()) {
    throw Error(ErrorKind::data, "the tokenizer's description " + json::serialize(description) +
                                     " has no \"kind\": was it written by another program?");
  }
  if (kind->get_string() == "byte") return std::make_unique<ByteTokenizer>();
  if (kind->get_string() != "bpe") {
    throw Error(ErrorKind::data, "unknown tokenizer kind \"" + std::string(kind->get_string().c_str()) +
                                     "\": this version of trireme knows byte and bpe");
  }
  const std::string path = directory + "/" + kTokenizerFile;
  if (!files.exists(path)) {
    throw Error(
        ErrorKind::data,
        path + " is missing: copy it from the data set that it was made with, where `trireme prepare` writes it again");
  }
  const std::string text = runtime::read_text(files, path);
  const std::string digest = runtime::sha256(text);
  const json::value* expected = description.if_contains("sha256");
  if (expected == nullptr || !expected->is_string() || expected->get_string() != digest) {
    throw Error(ErrorKind::data, path + " has the SHA-256 " + digest + ", but that of the tokenizer in use is " +
                                     (expected == nullptr ? "missing" : json::serialize(*expected)) +
                                     ": put the tokenizer.json of the dataset there");
  }
  auto tokenizer = std::make_unique<BpeTokenizer>(parse_tokenizer_json(text, path));
  for (const char* key : {"unicode_version", "normal_form_unicode_version"}) {
    warn_of_other_unicode(description, tokenizer->description(), key, path);
  }
  return tokenizer;
}

std::unique_ptr<Tokenizer> tokenizer_from_option(runtime::Files& files, const std::string& option,
                                                 const ReadTokenizerOptions& options) {
  if (option == "byte") return std::make_unique<ByteTokenizer>();
  try {
    return std::make_unique<BpeTokenizer>(read_tokenizer(files, option, options));
  } catch (const Error& error) {
    throw Error(error.kind(), std::string("--tokenizer: ") + error.what());
  }
}

}  // namespace trireme::data
