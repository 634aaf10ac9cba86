#include "data/json_row.h"

#include <random>

#include <boost/json.hpp>

#include "tests/data/prepared_text.h"

namespace trireme::data {
namespace {

using runtime::ErrorKind;

std::string text_of(std::string_view row, std::string_view field = "text") {
  return text_of_row(row, field, true).text;
}

std::string reason_of(const std::string& row, std::string_view field = "text") {
  return error_of(ErrorKind::data, [&] { text_of(row, field); });
}

TEST(JsonRow, TakesTheStringOfTheField) {
  EXPECT_EQ(text_of(R"({"text":"one"})"), "one");
  EXPECT_EQ(text_of(" {\t\"id\" : [1, -2.5e+3, {\"text\": \"no\"}, null, true] , \"text\" : \"yes\", \"x\": {}} \r"),
            "yes");
  EXPECT_EQ(text_of(R"({"text": "a\n\t\"\\\/\b\f\r\u00e9\u65e5\ud83d\ude00"})"),
            "a\n\t\"\\/\b\f\r\u00e9\u65e5\U0001F600");
  EXPECT_EQ(text_of(R"({"te\u0078t": "an escaped name"})"), "an escaped name");
  EXPECT_EQ(text_of(R"({"text": ""})"), "");
  EXPECT_EQ(text_of(R"({"text": "a\u0000b"})"), std::string("a\0b", 3));
  EXPECT_EQ(text_of("{\"text\": \"\xFF\"}"), "\xFF") << "not UTF-8: the caller's affair";
  EXPECT_EQ(text_of(R"({"content": "c", "text": "t"})", "content"), "c");
}

TEST(JsonRow, OfEqualNamesTheLastCounts) {
  EXPECT_EQ(text_of(R"({"text": "one", "text": "two"})"), "two");
  expect_contains(reason_of(R"({"text": "one", "text": 2})"), {"no field \"text\""});
  expect_contains(reason_of(R"({"a": {"text": "one"}, "a": {}})", "a.text"), {"no field \"a.text\""});
}

TEST(JsonRow, DotsLeadIntoObjects) {
  const std::string row =
      R"({"text": "outer", "meta": {"text": "inner", "more": {"text": "deep"}}, "list": [{"text": "x"}]})";
  EXPECT_EQ(text_of(row, "meta.text"), "inner");
  EXPECT_EQ(text_of(row, "meta.more.text"), "deep");
  EXPECT_EQ(text_of(row), "outer");
  for (const std::string field : {"more.text", "meta", "list.text", "meta.text.more", "metatext"}) {
    expect_contains(reason_of(row, field), {"no field \"" + field + "\"", "--text-field"});
  }
}

TEST(JsonRow, LoneSurrogatesAreCounted) {
  const std::string row = R"({"text": "\ud800 \udc00\ud83d\ud83d\ude00\uDBFFx\ud800\n"})";
  const RowText repaired = text_of_row(row, "text", true);
  EXPECT_EQ(repaired.text, "\uFFFD \uFFFD\uFFFD\U0001F600\uFFFDx\uFFFD\n");
  EXPECT_EQ(repaired.lone_surrogates, 5);
  const RowText kept = text_of_row(row, "text", false);
  EXPECT_EQ(kept.text, "\xED\xA0\x80 \xED\xB0\x80\xED\xA0\xBD\U0001F600\xED\xAF\xBFx\xED\xA0\x80\n");
  EXPECT_EQ(kept.lone_surrogates, 5);
}

TEST(JsonRow, TellsWhereARowIsNoJson) {
  expect_contains(reason_of("{\"text\": \"cut"),
                  {"not valid JSON", "it ends too early at byte 14", "one object a line"});
  expect_contains(reason_of(""), {"ends too early at byte 1"});
  expect_contains(reason_of("{\"text\": \"a\tb\"}"), {"control character in a string at byte 12"});
  expect_contains(reason_of(R"({"text": "\x"})"), {"unknown escape at byte 12"});
  expect_contains(reason_of(R"({"text": "\u12g4"})"), {"four hexadecimal digits at byte 15"});
  expect_contains(reason_of(R"({"text": "a"} {"text": "b"})"), {"more than one value at byte 15"});
  expect_contains(reason_of(R"({"text": "a",})"), {"a name was expected at byte 14"});
  expect_contains(reason_of(R"({"text" "a"})"), {"colon"});
  expect_contains(reason_of(R"({"text": "a" "b": 1})"), {"comma or a closing brace"});
  expect_contains(reason_of(R"({"text": "a", "b": [1 2]})"), {"comma or a closing bracket"});
  expect_contains(reason_of(R"({"text": "a", "b": nul})"), {"unknown word"});
  for (const std::string number : {"01", "-", "1.", ".5", "+1", "1e", "1e+", "0x10", "NaN"}) {
    expect_contains(reason_of("{\"text\": \"a\", \"n\": " + number + "}"), {"not valid JSON"});
  }
  const std::string deep(100000, '[');
  expect_contains(reason_of("{\"text\": \"a\", \"b\": " + deep), {"too many values inside each other"});
  for (const std::string row : {"[\"text\"]", "\"text\"", "3", "null", "{}"}) {
    expect_contains(reason_of(row), {"no field \"text\" with a string"});
  }
}

TEST(JsonRow, EveryLengthAndPlaceOfTheNextByteIsRight) {
  for (size_t length = 0; length < 70; ++length) {  // around the blocks in which strings are scanned
    const std::string plain(length, 'x');
    EXPECT_EQ(text_of("{\"text\": \"" + plain + "\"}"), plain);
    EXPECT_EQ(text_of("{\"text\": \"" + plain + "\\n\xC3\xA9\"}"), plain + "\n\u00e9");
    expect_contains(reason_of("{\"text\": \"" + plain + "\x1F\"}"), {"control character"});
  }
}

/// What Boost.JSON says of a row: the field's string, nothing when it is not JSON or has no such string.
std::optional<std::string> text_by_boost(const std::string& row) {
  boost::json::error_code error;
  boost::json::parse_options options;
  options.max_depth = 400;
  const boost::json::value value = boost::json::parse(row, error, {}, options);
  if (error || !value.is_object()) return {};
  const boost::json::value* text = value.get_object().if_contains("text");
  if (text == nullptr || !text->is_string()) return {};
  return std::string(text->get_string().data(), text->get_string().size());
}

TEST(JsonRow, AgreesWithBoostOnDamagedRows) {
  const std::string good =
      R"({"id": 12, "text": "a \"quoted\" line\nand \u00e9 more", "meta": {"n": [1, -2e3, true, null], "text": "x"}})";
  const std::string letters = "{}[]\",:\\ntrue0159.-+eEu\"\"\\\\ \t\x01\x7Fx";
  std::mt19937 random(5);
  int agreed_errors = 0;
  int agreed_texts = 0;
  for (int round = 0; round < 30000; ++round) {
    std::string row = good;
    for (uint32_t changes = random() % 3; changes < 3; ++changes) {
      const size_t at = random() % row.size();
      const char letter = letters[random() % letters.size()];
      switch (random() % 3) {
        case 0:
          row[at] = letter;
          break;
        case 1:
          row.insert(at, 1, letter);
          break;
        default:
          row.erase(at, 1);
      }
    }
    std::optional<std::string> text;
    try {
      text = text_of(row);
    } catch (const runtime::Error&) {
    }
    ASSERT_EQ(text, text_by_boost(row)) << row;
    ++(text.has_value() ? agreed_texts : agreed_errors);
  }
  EXPECT_GT(agreed_errors, 3000);
  EXPECT_GT(agreed_texts, 3000);
}

}  // namespace
}  // namespace trireme::data
