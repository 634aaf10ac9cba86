#include "data/named_vocabulary.h"

#include <algorithm>

#include <boost/json/serialize.hpp>

#include "data/byte_alphabet.h"
#include "runtime/error.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;
namespace json = boost::json;

namespace {

/// On one line, whatever it holds.
std::string quoted(std::string_view name) {
  return json::serialize(json::string_view(name.data(), name.size()));
}

class NamedVocabulary {
 public:
  NamedVocabulary(const json::object& vocab, const std::string& where) : vocab_(vocab), where_(where) {
    for (const json::key_value_pair& entry : vocab) {
      const std::string_view name(entry.key().data(), entry.key().size());
      const json::value& id = entry.value();
      if (!id.is_int64() || id.get_int64() < 0 || id.get_int64() >= kVocabularyLimit) {
        fail("token " + quoted(name) + " has no id from 0 to " + std::to_string(kVocabularyLimit - 1));
      }
      const auto place = static_cast<size_t>(id.get_int64());
      names_.resize(std::max(names_.size(), place + 1));
      if (!names_[place].empty() || name.empty()) {
        fail("id " + std::to_string(place) + " is given twice or to a token without a name");
      }
      names_[place] = name;
    }
    needed_.resize(names_.size());
  }

  /// Notes that the three tokens are needed.
  std::pair<int32_t, int32_t> merge(const std::pair<std::string, std::string>& named, size_t number) {
    const auto [left, right] = named;
    const int32_t ids[] = {find(left), find(right), find(left + right)};
    for (const int32_t id : ids) {
      if (id < 0) {
        fail("merge " + std::to_string(number) + " (" + quoted(left) + ", " + quoted(right) +
             ") names or gives a token that is not in the vocabulary");
      }
      needed_[static_cast<size_t>(id)] = true;
    }
    return {ids[0], ids[1]};
  }

  /// Leaves a hole where the added token is not also one that merges or bytes need.
  void add(const AddedToken& token) {
    const auto id = static_cast<size_t>(token.id);
    const int32_t listed = find(token.content);
    if (listed != token.id && (listed >= 0 || (id < names_.size() && !names_[id].empty()))) {
      fail("the added token " + std::to_string(token.id) + " (" + quoted(token.content) +
           ") has another id in the vocabulary, or its id another token");
    }
    if (listed < 0 || needed_[id]) return;
    const auto bytes = from_printable(token.content);
    if (!bytes.has_value() || bytes->size() > 1) names_[id] = {};
  }

  std::vector<std::string> tokens() const {
    std::vector<std::string> tokens(names_.size());
    for (size_t id = 0; id < names_.size(); ++id) {
      std::optional<std::string> bytes = from_printable(names_[id]);
      if (!bytes.has_value()) {
        fail("token " + std::to_string(id) + " (" + quoted(names_[id]) +
             ") is neither an added token nor written in the alphabet of byte-level BPE");
      }
      tokens[id] = std::move(*bytes);
    }
    while (!tokens.empty() && tokens.back().empty()) tokens.pop_back();
    return tokens;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw Error(ErrorKind::data, where_ + ": " + what); }

  int32_t find(std::string_view name) const {
    const json::value* id = vocab_.if_contains({name.data(), name.size()});
    return id == nullptr ? -1 : static_cast<int32_t>(id->get_int64());
  }

  const json::object& vocab_;
  const std::string& where_;
  std::vector<std::string_view> names_;  // by id
  std::vector<bool> needed_;             // by merges
};

}  // namespace

BpeVocabulary vocabulary_from_names(const json::object& vocab, const NamedMerges& merges,
                                    const std::vector<AddedToken>& added_tokens, const std::string& where) {
  NamedVocabulary named(vocab, where);
  BpeVocabulary vocabulary;
  for (const auto& merge : merges) vocabulary.merges.push_back(named.merge(merge, vocabulary.merges.size() + 1));
  for (const AddedToken& token : added_tokens) named.add(token);
  vocabulary.tokens = named.tokens();
  return vocabulary;
}

std::pair<std::string, std::string> named_merge(std::string_view line, const std::string& where) {
  const size_t space = line.find(' ');
  if (space == std::string_view::npos || space == 0 || space + 1 == line.size() ||
      line.find(' ', space + 1) != std::string_view::npos) {
    throw Error(ErrorKind::data, where + ": the merge " + quoted(line) + " is not two names and a space");
  }
  return {std::string(line.substr(0, space)), std::string(line.substr(space + 1))};
}

}  // namespace trireme::data
