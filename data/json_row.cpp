#include "data/json_row.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <utility>

#include "data/utf8.h"
#include "runtime/error.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;

namespace {

constexpr int kDeepest = 500;  // a value inside a value is a call

/// What is between the quotes, as it stands in the row.
struct RawString {
  std::string_view bytes;
  bool has_escapes = false;
};

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Of four digits that were checked.
char32_t hex4(std::string_view digits) {
  char32_t value = 0;
  for (size_t i = 0; i < 4; ++i) value = value << 4 | static_cast<char32_t>(hex_digit(digits[i]));
  return value;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool ends_plain_run(char c) {
  return c == '"' || c == '\\' || static_cast<unsigned char>(c) < 0x20;
}

/// How many bytes from `at` on are neither a quote, a backslash nor a control character. Eight at a time: a byte b that
/// is below n < 128 sets its top bit in (word - n in each byte) & ~word, and only bytes above it in the word may do so
/// wrongly, so the lowest such bit is right.
size_t plain_run(std::string_view row, size_t at) {
  static_assert(std::endian::native == std::endian::little);
  constexpr uint64_t kOnes = 0x0101010101010101;
  const auto below = [](uint64_t word, uint64_t n) { return (word - n * kOnes) & ~word; };
  const size_t begin = at;
  for (; at + sizeof(uint64_t) <= row.size(); at += sizeof(uint64_t)) {
    uint64_t word = 0;
    std::memcpy(&word, row.data() + at, sizeof(word));
    const uint64_t ends = below(word, 0x20) | below(word ^ ('"' * kOnes), 1) | below(word ^ ('\\' * kOnes), 1);
    const uint64_t top_bits = ends & (0x80 * kOnes);
    if (top_bits != 0) return at - begin + static_cast<size_t>(std::countr_zero(top_bits)) / 8;
  }
  while (at < row.size() && !ends_plain_run(row[at])) ++at;
  return at - begin;
}

std::string decode(const RawString& raw, bool repair, int64_t& lone_surrogates) {
  std::string text;
  text.reserve(raw.bytes.size());
  const std::string_view bytes = raw.bytes;
  for (size_t at = 0;;) {
    const size_t escape = bytes.find('\\', at);
    if (escape == std::string_view::npos) return text.append(bytes.substr(at));
    text.append(bytes.substr(at, escape - at));
    at = escape + 2;
    constexpr std::string_view kLetters = "bfnrt";
    const char letter = bytes[escape + 1];
    if (letter != 'u') {
      const size_t found = kLetters.find(letter);
      text.push_back(found == std::string_view::npos ? letter : "\b\f\n\r\t"[found]);
      continue;
    }
    char32_t character = hex4(bytes.substr(at));
    at += 4;
    if (character >= 0xD800 && character < 0xDC00 && bytes.substr(at).starts_with("\\u")) {
      const char32_t low = hex4(bytes.substr(at + 2));
      if (low >= 0xDC00 && low < 0xE000) {
        character = 0x10000 + ((character - 0xD800) << 10) + (low - 0xDC00);
        at += 6;
      }
    }
    if (character >= 0xD800 && character < 0xE000) {
      ++lone_surrogates;
      if (repair) character = 0xFFFD;
    }
    append_utf8(text, character);
  }
}

class RowParser {
 public:
  explicit RowParser(std::string_view row) : row_(row) {}

  /// The string at `field`, nothing when there is none.
  std::optional<RawString> find(std::string_view field) {
    value(field, 0);
    skip_space();
    if (at_ < row_.size()) fail("more than one value");
    return found_;
  }

 private:
  [[noreturn]] void fail(const char* reason) const {
    throw Error(ErrorKind::data, "not valid JSON (" + std::string(at_ < row_.size() ? reason : "it ends too early") +
                                     " at byte " + std::to_string(at_ + 1) +
                                     "): a .jsonl file holds one object a line");
  }

  char peek() const { return at_ < row_.size() ? row_[at_] : '\0'; }

  void skip_space() {
    while (peek() == ' ' || peek() == '\t' || peek() == '\r' || peek() == '\n') ++at_;
  }

  bool skip_if(char c) {
    skip_space();
    if (peek() != c) return false;
    ++at_;
    return true;
  }

  /// `field` leads from here to the string: "" when this is it, nothing when it is elsewhere.
  void value(std::optional<std::string_view> field, int depth) {
    if (depth > kDeepest) fail("too many values inside each other");
    skip_space();
    switch (peek()) {
      case '{':
        return object(field, depth);
      case '[':
        return array(depth);
      case '"': {
        const RawString raw = string();
        if (field == "") found_ = raw;
        return;
      }
      case 't':
        return word("true");
      case 'f':
        return word("false");
      case 'n':
        return word("null");
      default:
        return number();
    }
  }

  void object(std::optional<std::string_view> field, int depth) {
    ++at_;
    if (skip_if('}')) return;
    const bool is_on_way = field.has_value() && !field->empty();
    const std::string_view wanted = is_on_way ? field->substr(0, field->find('.')) : "";
    do {
      skip_space();
      if (peek() != '"') fail("a name was expected");
      const RawString name = string();
      if (!skip_if(':')) fail("a colon was expected");
      std::optional<std::string_view> rest;
      if (is_on_way && is_equal(name, wanted)) {
        found_.reset();  // the last of equal names counts
        rest = field->substr(std::min(field->size(), wanted.size() + 1));
      }
      value(rest, depth + 1);
    } while (skip_if(','));
    if (!skip_if('}')) fail("a comma or a closing brace was expected");
  }

  void array(int depth) {
    ++at_;
    if (skip_if(']')) return;
    do {
      value({}, depth + 1);
    } while (skip_if(','));
    if (!skip_if(']')) fail("a comma or a closing bracket was expected");
  }

  static bool is_equal(const RawString& name, std::string_view wanted) {
    if (!name.has_escapes) return name.bytes == wanted;
    int64_t ignored = 0;
    return decode(name, false, ignored) == wanted;
  }

  RawString string() {
    const size_t begin = ++at_;
    bool has_escapes = false;
    for (;;) {
      at_ += plain_run(row_, at_);
      const char c = peek();
      if (c == '"') break;
      if (c != '\\') fail("a control character in a string");
      has_escapes = true;
      escape();
    }
    ++at_;
    return {.bytes = row_.substr(begin, at_ - 1 - begin), .has_escapes = has_escapes};
  }

  void escape() {
    ++at_;
    const char letter = peek();
    if (std::string_view("\"\\/bfnrtu").find(letter) == std::string_view::npos) fail("an unknown escape");
    ++at_;
    for (int digits = letter == 'u' ? 4 : 0; digits > 0; --digits) {
      if (hex_digit(peek()) < 0) fail("an escape \\u without four hexadecimal digits");
      ++at_;
    }
  }

  void word(std::string_view expected) {
    if (!row_.substr(at_).starts_with(expected)) fail("an unknown word");
    at_ += expected.size();
  }

  void digits() {
    if (!is_digit(peek())) fail("a value was expected");
    while (is_digit(peek())) ++at_;
  }

  void number() {
    if (peek() == '-') ++at_;
    if (peek() == '0') {
      ++at_;
    } else {
      digits();
    }
    if (peek() == '.') {
      ++at_;
      digits();
    }
    if (peek() == 'e' || peek() == 'E') {
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      digits();
    }
  }

  std::string_view row_;
  size_t at_ = 0;
  std::optional<RawString> found_;
};

}  // namespace

RowText text_of_row(std::string_view row, std::string_view field, bool repair) {
  const std::optional<RawString> raw = RowParser(row).find(field);
  if (!raw.has_value()) {
    throw Error(ErrorKind::data, "no field \"" + std::string(field) +
                                     "\" with a string: each row must be like {\"text\": \"...\"}, or name the field "
                                     "that holds the text by --text-field");
  }
  RowText found;
  found.text = decode(*raw, repair, found.lone_surrogates);
  return found;
}

}  // namespace trireme::data
