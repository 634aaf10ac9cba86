#include <map>

#include <boost/json.hpp>

#include "data/byte_alphabet.h"
#include "data/splitter.h"
#include "data/tokenizer_json.h"
#include "runtime/error.h"

namespace trireme::data {

namespace json = boost::json;

namespace {

json::array added_tokens(const TokenizerParts& parts) {
  json::array tokens;
  for (const AddedToken& token : parts.added_tokens) {
    tokens.push_back(json::object{{"id", token.id},
                                  {"content", token.content},
                                  {"single_word", token.single_word},
                                  {"lstrip", token.lstrip},
                                  {"rstrip", token.rstrip},
                                  {"normalized", token.normalized},
                                  {"special", token.special}});
  }
  return tokens;
}

json::value normalizer(const TokenizerParts& parts) {
  json::array forms;
  for (const NormalForm form : parts.normal_forms) {
    std::string type(name(form));
    for (char& c : type) c = static_cast<char>(c - 'a' + 'A');
    forms.push_back(json::object{{"type", type}});
  }
  if (forms.empty()) return nullptr;
  if (forms.size() == 1) return forms[0];
  return {{"type", "Sequence"}, {"normalizers", forms}};
}

json::object byte_level(bool add_prefix_space, bool use_regex) {
  return {
      {"type", "ByteLevel"}, {"add_prefix_space", add_prefix_space}, {"trim_offsets", true}, {"use_regex", use_regex}};
}

json::object pre_tokenizer(const TokenizerParts& parts) {
  const bool is_gpt2 = parts.pattern == kGpt2Pattern;
  if (is_gpt2 || parts.pattern.empty()) return byte_level(parts.add_prefix_space, is_gpt2);
  if (parts.add_prefix_space) {
    throw runtime::Error(runtime::ErrorKind::data,
                         "a tokenizer.json cannot say that a prefix space goes before the pattern " + parts.pattern +
                             ": only before GPT-2's or none");
  }
  const json::object split = {
      {"type", "Split"}, {"pattern", {{"Regex", parts.pattern}}}, {"behavior", "Isolated"}, {"invert", false}};
  return {{"type", "Sequence"}, {"pretokenizers", {split, byte_level(false, false)}}};
}

json::object post_processor(const TokenizerParts& parts) {
  if (parts.begin_of_text.empty()) return byte_level(parts.add_prefix_space, true);
  const std::string& begin = parts.begin_of_text;
  const auto special = [&](int type) { return json::object{{"SpecialToken", {{"id", begin}, {"type_id", type}}}}; };
  const auto sequence = [](const char* id, int type) {
    return json::object{{"Sequence", {{"id", id}, {"type_id", type}}}};
  };
  const json::object token = {
      {"id", begin}, {"ids", json::array{find_added_token(parts, begin)->id}}, {"tokens", json::array{begin}}};
  return {{"type", "TemplateProcessing"},
          {"single", json::array{special(0), sequence("A", 0)}},
          {"pair", json::array{special(0), sequence("A", 0), special(1), sequence("B", 1)}},
          {"special_tokens", json::object{{begin, token}}}};
}

/// Added tokens are listed too: that is how Hugging Face knows their ids.
json::object vocab(const TokenizerParts& parts) {
  std::map<int32_t, std::string> names;
  for (size_t id = 0; id < parts.vocabulary.tokens.size(); ++id) {
    const std::string& token = parts.vocabulary.tokens[id];
    if (!token.empty()) names[static_cast<int32_t>(id)] = to_printable(token);
  }
  for (const AddedToken& token : parts.added_tokens) names[token.id] = token.content;
  json::object vocab;
  vocab.reserve(names.size());
  for (const auto& [id, name] : names) {
    if (!vocab.emplace(name, id).second) {
      throw runtime::Error(runtime::ErrorKind::data,
                           "two tokens have the same name in tokenizer.json: " + to_printable(name) + " of id " +
                               std::to_string(id) + " and of " + std::to_string(vocab.at(name).get_int64()));
    }
  }
  return vocab;
}

json::object model(const TokenizerParts& parts) {
  const BpeVocabulary& vocabulary = parts.vocabulary;
  const bool by_ranks = vocabulary.mode == BpeMode::ranks;
  json::array merges;
  for (const auto& [left, right] : by_ranks ? merges_of_ranks(vocabulary) : vocabulary.merges) {
    merges.push_back(json::array{to_printable(vocabulary.tokens[static_cast<size_t>(left)]),
                                 to_printable(vocabulary.tokens[static_cast<size_t>(right)])});
  }
  json::object model = {{"type", "BPE"},
                        {"dropout", nullptr},
                        {"unk_token", nullptr},
                        {"continuing_subword_prefix", nullptr},
                        {"end_of_word_suffix", nullptr},
                        {"fuse_unk", false},
                        {"byte_fallback", false},
                        {"ignore_merges", by_ranks || vocabulary.ignore_merges}};
  if (by_ranks) model["trireme_mode"] = name(vocabulary.mode);
  model["trireme_end_of_text"] = parts.end_of_text;
  model["vocab"] = vocab(parts);
  model["merges"] = std::move(merges);
  return model;
}

}  // namespace

std::string tokenizer_json(const TokenizerParts& parts) {
  check_parts(parts, "the tokenizer");
  return json::serialize(json::object{{"version", "1.0"},
                                      {"truncation", nullptr},
                                      {"padding", nullptr},
                                      {"added_tokens", added_tokens(parts)},
                                      {"normalizer", normalizer(parts)},
                                      {"pre_tokenizer", pre_tokenizer(parts)},
                                      {"post_processor", post_processor(parts)},
                                      {"decoder", byte_level(true, true)},
                                      {"model", model(parts)}});
}

}  // namespace trireme::data
