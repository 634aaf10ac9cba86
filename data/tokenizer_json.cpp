#include "data/tokenizer_json.h"

#include <algorithm>
#include <array>

#include <boost/json.hpp>

#include "data/named_vocabulary.h"
#include "data/splitter.h"
#include "runtime/error.h"
#include "runtime/json.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;
namespace json = boost::json;

namespace {

constexpr std::array<std::string_view, 7> kEndsOfText = {
    "<|endoftext|>", "<|end_of_text|>", "<｜end▁of▁sentence｜>", "</s>", "<eos>", "<|eot_id|>", "<|im_end|>"};

/// Reads the document part by part. What has the wrong type for its key is boost.json's exception, caught outside.
class TokenizerReader {
 public:
  explicit TokenizerReader(const std::string& path) : path_(path) {}

  TokenizerParts read(const json::object& file, const std::string& end_of_text) {
    for (const char* key : {"truncation", "padding"}) {
      if (present(file, key) != nullptr) {
        fail(std::string("its ") + key + " would change the ids of texts: write \"" + key + "\": null");
      }
    }
    read_added_tokens(file);
    if (const json::value* part = present(file, "normalizer")) read_normalizer(part->as_object());
    const json::value* pre_tokenizer = present(file, "pre_tokenizer");
    if (pre_tokenizer == nullptr) fail("it has no pre_tokenizer, and so is not byte-level; " + supported_);
    read_pre_tokenizer(pre_tokenizer->as_object());
    if (const json::value* part = present(file, "post_processor")) read_post_processor(part->as_object());
    if (const json::value* part = present(file, "decoder"); part != nullptr && type_of(*part) != "ByteLevel") {
      fail("the decoder " + type_of(*part) + " is not ByteLevel");
    }
    read_model(file.at("model").as_object());
    if (!end_of_text.empty()) parts_.end_of_text = end_of_text;
    if (parts_.end_of_text.empty()) parts_.end_of_text = usual_end_of_text(parts_);
    if (find_added_token(parts_, parts_.end_of_text) == nullptr) {
      fail((parts_.end_of_text.empty() ? "none of its added tokens has a usual name for the end of text"
                                       : "no added token is " + json::serialize(json::string(parts_.end_of_text))) +
           std::string(": name the one that ends a document with --end-of-text"));
    }
    check_parts(parts_, path_);
    return std::move(parts_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw Error(ErrorKind::data, path_ + ": " + what); }

  /// The value of a key that is there and not null.
  static const json::value* present(const json::object& object, std::string_view key) {
    const json::value* value = object.if_contains({key.data(), key.size()});
    return value == nullptr || value->is_null() ? nullptr : value;
  }
  static bool flag(const json::object& object, std::string_view key, bool otherwise) {
    const json::value* value = present(object, key);
    return value == nullptr ? otherwise : value->as_bool();
  }
  static std::string text(const json::value& value) {
    const json::string& string = value.as_string();
    return {string.data(), string.size()};
  }
  static std::string type_of(const json::value& value) { return text(value.as_object().at("type")); }

  void read_added_tokens(const json::object& file) {
    const json::value* list = present(file, "added_tokens");
    if (list == nullptr) return;
    for (const json::value& value : list->as_array()) {
      const json::object& token = value.as_object();
      const int64_t id = token.at("id").as_int64();
      if (id < 0 || id >= kVocabularyLimit) {
        fail("the added token " + std::to_string(id) + " is not among the first " + std::to_string(kVocabularyLimit) +
             " ids, which this program takes");
      }
      parts_.added_tokens.push_back({.id = static_cast<int32_t>(id),
                                     .content = text(token.at("content")),
                                     .single_word = flag(token, "single_word", false),
                                     .lstrip = flag(token, "lstrip", false),
                                     .rstrip = flag(token, "rstrip", false),
                                     .normalized = flag(token, "normalized", true),
                                     .special = flag(token, "special", false)});
    }
    std::ranges::stable_sort(parts_.added_tokens, {}, &AddedToken::id);
  }

  void read_normalizer(const json::object& part) {
    std::string type = type_of(part);
    if (type == "Sequence") {
      for (const json::value& inner : part.at("normalizers").as_array()) read_normalizer(inner.as_object());
      return;
    }
    const auto lower = [](char c) { return static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c); };
    std::string name(type);
    std::ranges::transform(type, name.begin(), lower);
    const std::optional<NormalForm> form = normal_form_from_name(name);
    if (!form.has_value()) fail("the normalizer " + type + " is not one of NFC, NFD, NFKC, NFKD and Sequence of them");
    parts_.normal_forms.push_back(*form);
  }

  void read_pre_tokenizer(const json::object& part) {
    if (type_of(part) != "Sequence") {
      read_byte_level(part);
      if (flag(part, "use_regex", true)) parts_.pattern = kGpt2Pattern;
      return;
    }
    const json::array& steps = part.at("pretokenizers").as_array();
    if (steps.size() != 2)
      fail("the pre_tokenizer's Sequence has " + std::to_string(steps.size()) + " steps; " + supported_);
    read_split(steps[0].as_object());
    const json::object& byte_level = steps[1].as_object();
    read_byte_level(byte_level);
    if (flag(byte_level, "use_regex", true) || parts_.add_prefix_space) {
      fail("the ByteLevel behind the Split has use_regex or add_prefix_space; " + supported_);
    }
  }

  void read_byte_level(const json::object& part) {
    if (type_of(part) != "ByteLevel")
      fail("the pre_tokenizer " + type_of(part) + " stands where only ByteLevel may; " + supported_);
    parts_.add_prefix_space = flag(part, "add_prefix_space", true);
  }

  void read_split(const json::object& part) {
    if (type_of(part) != "Split") fail("the pre_tokenizer's Sequence begins with " + type_of(part) + "; " + supported_);
    const json::value* pattern = present(part.at("pattern").as_object(), "Regex");
    if (pattern == nullptr) fail("the Split has no pattern of kind Regex; " + supported_);
    const std::string behavior = text(part.at("behavior"));
    const bool invert = flag(part, "invert", false);
    parts_.pattern = text(*pattern);
    if (parts_.pattern.empty()) fail("the Split's pattern is empty");
    // Removed and inverted drops what the pattern does not match: nothing, of those that we know.
    const bool drops_nothing = behavior == "Removed" && invert && is_known_pattern(parts_.pattern);
    if (!(behavior == "Isolated" && !invert) && !drops_nothing) {
      fail("the Split's behavior is " + behavior + (invert ? ", inverted" : "") + "; " + supported_);
    }
  }

  /// Only what stands before a text is of interest: the post-processor is not applied.
  void read_post_processor(const json::object& part) {
    const std::string type = type_of(part);
    if (type == "Sequence") {
      for (const json::value& inner : part.at("processors").as_array()) read_post_processor(inner.as_object());
    } else if (type == "TemplateProcessing") {
      const json::array& single = part.at("single").as_array();
      const json::value* first = single.empty() ? nullptr : single[0].as_object().if_contains("SpecialToken");
      if (first != nullptr && single.size() > 1) parts_.begin_of_text = text(first->as_object().at("id"));
    } else if (type == "RobertaProcessing") {
      parts_.begin_of_text = text(part.at("cls").as_array().at(0));
    } else if (type != "ByteLevel") {
      fail("the post_processor " + type +
           " is not one of ByteLevel, TemplateProcessing, RobertaProcessing and Sequence");
    }
  }

  void read_model(const json::object& model) {
    if (const json::value* type = present(model, "type"); type != nullptr && text(*type) != "BPE") {
      fail("the model " + text(*type) + " is not BPE");
    }
    for (const char* key : {"byte_fallback", "fuse_unk"}) {
      if (flag(model, key, false)) fail(std::string("the model's ") + key + " is not supported: its bytes are tokens");
    }
    if (const json::value* dropout = present(model, "dropout");
        dropout != nullptr && dropout->to_number<double>() != 0) {
      fail("the model's dropout is not supported: ids must not be random");
    }
    for (const char* key : {"continuing_subword_prefix", "end_of_word_suffix"}) {
      const json::value* affix = present(model, key);
      if (affix != nullptr && !affix->as_string().empty())
        fail(std::string("the model's ") + key + " is not supported");
    }
    NamedMerges merges;
    for (const json::value& merge : model.at("merges").as_array()) {
      if (merge.is_string()) {
        merges.push_back(named_merge(text(merge), path_));
      } else {
        const json::array& pair = merge.as_array();
        if (pair.size() != 2) fail("a merge has " + std::to_string(pair.size()) + " names, not two");
        merges.emplace_back(text(pair[0]), text(pair[1]));
      }
    }
    parts_.vocabulary = vocabulary_from_names(model.at("vocab").as_object(), merges, parts_.added_tokens, path_);
    read_own_keys(model);
  }

  void read_own_keys(const json::object& model) {
    const bool ignore_merges = flag(model, "ignore_merges", false);
    const json::value* mode = present(model, "trireme_mode");
    if (mode != nullptr && text(*mode) == name(BpeMode::ranks)) {
      parts_.vocabulary.mode = BpeMode::ranks;
      parts_.vocabulary.merges.clear();  // they follow from the ranks
    } else if (mode != nullptr) {
      fail("the model's trireme_mode is not known: was the file written by a newer version?");
    } else {
      parts_.vocabulary.ignore_merges = ignore_merges;
    }
    if (const json::value* end = present(model, "trireme_end_of_text")) parts_.end_of_text = text(*end);
  }

  const std::string& path_;
  const std::string supported_ =
      "this program takes ByteLevel, alone or behind one Split by a Regex that is Isolated (or Removed, inverted, with "
      "a "
      "known pattern), without a prefix space";
  TokenizerParts parts_;
};

}  // namespace

std::string usual_end_of_text(const TokenizerParts& parts) {
  for (const std::string_view name : kEndsOfText) {
    if (find_added_token(parts, name) != nullptr) return std::string(name);
  }
  return "";
}

TokenizerParts parse_tokenizer_json(std::string_view text, const std::string& path, const std::string& end_of_text) {
  try {
    return TokenizerReader(path).read(runtime::parse_json(text).as_object(), end_of_text);
  } catch (const Error& error) {
    if (!std::string_view(error.what()).starts_with("line ")) throw;  // parse_json's: it knows no path
    throw Error(ErrorKind::data, path + " is damaged (" + error.what() + ")");
  } catch (const std::exception& error) {  // boost.json throws several types, for missing keys and kinds
    throw Error(ErrorKind::data, path + " is not a tokenizer.json, or damaged (" + error.what() + ")");
  }
}

}  // namespace trireme::data
