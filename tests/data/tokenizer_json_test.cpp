#include "data/tokenizer_json.h"

#include <boost/json.hpp>

#include "data/byte_alphabet.h"
#include "data/splitter.h"
#include "tests/data/prepared_text.h"
#include "tests/data/small_tokenizer.h"

namespace trireme::data {
namespace {

using runtime::ErrorKind;
namespace json = boost::json;

json::object small_json() {
  return json::parse(tokenizer_json(small_parts())).as_object();
}

TokenizerParts parse(const json::object& file, const std::string& end_of_text = "") {
  return parse_tokenizer_json(json::serialize(file), "some/tokenizer.json", end_of_text);
}

/// The message about a file that `change` has changed.
template <typename Change>
std::string refusal(Change change) {
  json::object file = small_json();
  change(file);
  const std::string message = error_of(ErrorKind::data, [&] { parse(file); });
  expect_contains(message, {"some/tokenizer.json"});
  return message;
}

json::object& model(json::object& file) {
  return file.at("model").as_object();
}

TEST(TokenizerJson, GivesPartsBackAndEqualBytes) {
  TokenizerParts parts = small_parts();
  std::vector<TokenizerParts> all = {parts};
  parts.pattern = kGpt2Pattern;
  parts.add_prefix_space = true;
  parts.normal_forms = {NormalForm::nfd, NormalForm::nfkc};
  parts.vocabulary.ignore_merges = true;
  all.push_back(parts);
  parts.add_prefix_space = false;
  parts.pattern = kO200kPattern;
  parts.normal_forms = {NormalForm::nfc};
  parts.added_tokens.push_back(
      {.id = 400, .content = "<s> \n\u00e9", .single_word = true, .lstrip = true, .special = false});
  parts.added_tokens.push_back({.id = 500, .content = "</doc>", .rstrip = true, .normalized = true});
  parts.begin_of_text = "<s> \n\u00e9";
  parts.end_of_text = "</doc>";
  all.push_back(parts);
  parts.vocabulary = byte_vocabulary();
  parts.vocabulary.mode = BpeMode::ranks;
  parts.vocabulary.tokens.insert(parts.vocabulary.tokens.end(), {"ab", "bc", "", "abc", "abca"});
  all.push_back(parts);
  for (const TokenizerParts& each : all) {
    const std::string text = tokenizer_json(each);
    const TokenizerParts again = parse_tokenizer_json(text, "tokenizer.json");
    EXPECT_EQ(again, each) << text;
    EXPECT_EQ(tokenizer_json(again), text);
  }
}

TEST(TokenizerJson, RanksAreWrittenAsEveryWayToJoin) {
  TokenizerParts parts = small_parts();
  parts.vocabulary = byte_vocabulary();
  parts.vocabulary.mode = BpeMode::ranks;
  parts.vocabulary.tokens.insert(parts.vocabulary.tokens.end(), {"bc", "ab", "abc"});
  json::object file = json::parse(tokenizer_json(parts)).as_object();
  EXPECT_EQ(json::serialize(model(file).at("merges")), R"([["b","c"],["a","b"],["a","bc"],["ab","c"]])");
  EXPECT_EQ(model(file).at("ignore_merges"), true);
}

TEST(TokenizerJson, ReadsOlderForms) {
  json::object file = small_json();
  model(file)["merges"] = {"h e", "l l", "he ll", "hell o", "\u0120 w"};
  model(file).erase("trireme_end_of_text");
  model(file).erase("type");
  model(file).erase("ignore_merges");
  model(file)["continuing_subword_prefix"] = "";
  file["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}};
  file.erase("normalizer");
  TokenizerParts expected = small_parts();
  expected.pattern = kGpt2Pattern;
  EXPECT_EQ(parse(file), expected);
}

TEST(TokenizerJson, ReadsTheSplitsOfTheField) {
  json::object file = small_json();
  const json::object byte_level = {
      {"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}};
  json::object split = {{"type", "Split"}, {"pattern", {{"Regex", "a+"}}}, {"behavior", "Isolated"}, {"invert", false}};
  const auto pattern = [&] {
    file["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", {split, byte_level}}};
    return parse(file).pattern;
  };
  EXPECT_EQ(pattern(), "a+");
  split["behavior"] = "Removed";
  split["invert"] = true;
  EXPECT_THROW(pattern(), runtime::Error) << "it drops all but the a";
  split["pattern"] = json::object{{"Regex", kCl100kPattern}};
  EXPECT_EQ(pattern(), kCl100kPattern);
  split["invert"] = false;
  EXPECT_THROW(pattern(), runtime::Error);
  split["behavior"] = "MergedWithNext";
  EXPECT_THROW(pattern(), runtime::Error);
  split["behavior"] = "Isolated";
  split["pattern"] = json::object{{"String", " "}};
  EXPECT_THROW(pattern(), runtime::Error);
}

TEST(TokenizerJson, TakesTheBeginningOfTextFromPostProcessors) {
  json::object file = small_json();
  const json::value single =
      json::parse(R"([{"SpecialToken":{"id":"<|endoftext|>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}])");
  const json::object byte_level = {{"type", "ByteLevel"}, {"add_prefix_space", true}, {"trim_offsets", false}};
  file["post_processor"] = {
      {"type", "Sequence"},
      {"processors", {byte_level, json::object{{"type", "TemplateProcessing"}, {"single", single}}}}};
  EXPECT_EQ(parse(file).begin_of_text, "<|endoftext|>");
  file["post_processor"] = byte_level;
  EXPECT_EQ(parse(file).begin_of_text, "");
  file["post_processor"] = {{"type", "RobertaProcessing"}, {"cls", {"<s>", 0}}, {"sep", {"</s>", 2}}};
  expect_contains(error_of(ErrorKind::data, [&] { parse(file); }), {"<s>", "added tokens"});
}

TEST(TokenizerJson, FindsTheEndOfText) {
  TokenizerParts parts = small_parts();
  parts.added_tokens = {
      {.id = 261, .content = "<fin>"}, {.id = 262, .content = "</s>"}, {.id = 263, .content = "<eos>"}};
  parts.end_of_text = "<fin>";
  json::object file = json::parse(tokenizer_json(parts)).as_object();
  EXPECT_EQ(parse(file).end_of_text, "<fin>") << "what we wrote";
  EXPECT_EQ(parse(file, "<eos>").end_of_text, "<eos>") << "what the caller says";
  model(file).erase("trireme_end_of_text");
  EXPECT_EQ(parse(file).end_of_text, "</s>") << "a usual name";
  expect_contains(error_of(ErrorKind::data, [&] { parse(file, "<end>"); }), {"<end>", "--end-of-text"});
  file["added_tokens"].as_array().pop_back();
  file["added_tokens"].as_array().pop_back();
  model(file)["vocab"].as_object().erase("</s>");
  model(file)["vocab"].as_object().erase("<eos>");
  expect_contains(error_of(ErrorKind::data, [&] { parse(file); }), {"--end-of-text"});
}

TEST(TokenizerJson, NamesWhatItCannotDo) {
  const auto set = [](const char* key, const json::value& value) {
    return refusal([&](json::object& file) { file[key] = value; });
  };
  const auto set_model = [](const char* key, const json::value& value) {
    return refusal([&](json::object& file) { model(file)[key] = value; });
  };
  expect_contains(set("truncation", {{"max_length", 512}}), {"truncation", "null"});
  expect_contains(set("padding", {{"strategy", "BatchLongest"}}), {"padding", "null"});
  expect_contains(set("normalizer", {{"type", "Lowercase"}}), {"Lowercase", "NFKC"});
  expect_contains(set("pre_tokenizer", nullptr), {"pre_tokenizer", "ByteLevel"});
  expect_contains(set("pre_tokenizer", {{"type", "Metaspace"}}), {"Metaspace", "ByteLevel"});
  expect_contains(set("post_processor", {{"type", "BertProcessing"}}), {"BertProcessing"});
  expect_contains(set("decoder", {{"type", "WordPiece"}}), {"WordPiece"});
  expect_contains(set_model("type", "Unigram"), {"Unigram", "BPE"});
  expect_contains(set_model("byte_fallback", true), {"byte_fallback"});
  expect_contains(set_model("fuse_unk", true), {"fuse_unk"});
  expect_contains(set_model("dropout", 0.1), {"dropout"});
  expect_contains(set_model("continuing_subword_prefix", "##"), {"continuing_subword_prefix"});
  expect_contains(set_model("end_of_word_suffix", "</w>"), {"end_of_word_suffix"});
  expect_contains(set_model("trireme_mode", "fast"), {"trireme_mode"});
  set("pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", json::array{}}});
}

TEST(TokenizerJson, HostileModelsAreErrors) {
  const auto vocab = [](const char* name, const json::value& id) {
    return refusal([&](json::object& file) { model(file)["vocab"].as_object()[name] = id; });
  };
  expect_contains(vocab("zz", 4'000'000'000), {"zz", "id"});
  expect_contains(vocab("zz", -1), {"zz", "id"});
  expect_contains(vocab("zz", 1 << 20), {"zz", "id"});
  expect_contains(vocab("zz", 1e300), {"zz", "id"});
  expect_contains(vocab("zz", "7"), {"zz", "id"});
  expect_contains(vocab("zz", 7), {"id 7", "twice"});
  expect_contains(vocab("", 270), {"270", "without a name"});
  expect_contains(vocab("a b", 270), {"a b", "alphabet"});
  expect_contains(vocab("中\n", 270), {"alphabet"});
  const auto merge = [](const json::value& pair) {
    return refusal([&](json::object& file) { model(file)["merges"].as_array().push_back(pair); });
  };
  expect_contains(merge({"q", "x"}), {"merge 6", "\"q\"", "\"x\""});
  expect_contains(merge({"hello", "there"}), {"merge 6"});
  expect_contains(merge({"h", "e"}), {"merge 6", "twice"});
  expect_contains(merge({"a", "b", "c"}), {"3 names"});
  expect_contains(merge("ab"), {"\"ab\"", "space"});
  expect_contains(merge("a b c"), {"a b c"});
  expect_contains(merge(" b"), {"\" b\""});
  merge(7);
  merge({1, 2});
  merge({"", "h"});
  refusal([](json::object& file) { model(file)["vocab"].as_object().erase("z"); });
  refusal([](json::object& file) { model(file)["vocab"] = json::array{}; });
  refusal([](json::object& file) { model(file).erase("merges"); });
  refusal([](json::object& file) { file.erase("model"); });
  refusal([](json::object& file) { file["pre_tokenizer"] = 3; });
  refusal([](json::object& file) { file["pre_tokenizer"].as_object()["use_regex"] = "yes"; });
}

TEST(TokenizerJson, HostileAddedTokensAreErrors) {
  const auto added = [](const json::object& token) {
    return refusal([&](json::object& file) { file["added_tokens"].as_array().push_back(token); });
  };
  expect_contains(added({{"id", 261}, {"content", "<x>"}}), {"261"});
  expect_contains(added({{"id", 270}, {"content", "<|endoftext|>"}}), {"another id"});
  expect_contains(added({{"id", 5'000'000'000}, {"content", "<x>"}}), {"5000000000"});
  expect_contains(added({{"id", -5}, {"content", "<x>"}}), {"-5"});
  expect_contains(added({{"id", 'a'}, {"content", "<x>"}}), {"97", "<x>"});
  expect_contains(added({{"id", 270}, {"content", "hello"}}), {"270", "hello"});
  expect_contains(added({{"id", 270}, {"content", ""}}), {"270", "empty"});
  expect_contains(added({{"id", 259}, {"content", "hello"}, {"special", true}}), {"259", "hello", "special"});
  expect_contains(added({{"id", '!'}, {"content", "!"}, {"special", true}}), {"33", "special"});
  added({{"id", "270"}, {"content", "<x>"}});
  added({{"id", 270}});
  added({{"id", 270}, {"content", "<x>"}, {"special", 1}});
}

TEST(TokenizerJson, TruncatedAndForeignFilesAreErrors) {
  const std::string text = tokenizer_json(small_parts());
  for (size_t bytes = 0; bytes < text.size(); bytes += 1 + bytes / 7) {
    expect_contains(error_of(ErrorKind::data, [&] { parse_tokenizer_json(text.substr(0, bytes), "some.json"); }),
                    {"some.json"});
  }
  for (const char* other :
       {"[]", "3", "{}", "{\"model\":{}}", "null", "\xff", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[["}) {
    expect_contains(error_of(ErrorKind::data, [&] { parse_tokenizer_json(other, "some.json"); }), {"some.json"});
  }
}

TEST(TokenizerJson, AddedTokensThatMergesNeedStayInTheVocabulary) {
  json::object file = small_json();
  file["added_tokens"].as_array().push_back(
      json::object{{"id", 259}, {"content", "hello"}, {"special", false}, {"normalized", false}});
  const TokenizerParts parts = parse(file);
  EXPECT_EQ(parts.vocabulary.tokens[259], "hello");
  EXPECT_EQ(parse_tokenizer_json(tokenizer_json(parts), "again"), parts);
  EXPECT_EQ(parts.vocabulary.tokens.size(), 261u) << "the end of text is a hole behind the tokens";
}

}  // namespace
}  // namespace trireme::data
