#include "runtime/json.h"

#include <algorithm>
#include <boost/json/basic_parser_impl.hpp>
#include <boost/json/value_stack.hpp>
#include <charconv>
#include <string>

#include "runtime/error.h"

namespace trireme::runtime {
namespace {

namespace json = boost::json;

// What json::basic_parser calls; as Boost's own parser does it, except for on_double.
class Handler {
 public:
  using Code = json::error_code;
  static constexpr size_t max_object_size = static_cast<size_t>(-1);
  static constexpr size_t max_array_size = static_cast<size_t>(-1);
  static constexpr size_t max_key_size = static_cast<size_t>(-1);
  static constexpr size_t max_string_size = static_cast<size_t>(-1);

  json::value release() { return stack_.release(); }

  bool on_document_begin(Code&) {
    stack_.reset();
    return true;
  }
  bool on_document_end(Code&) { return true; }
  bool on_object_begin(Code&) { return true; }
  bool on_object_end(size_t count, Code&) {
    stack_.push_object(count);
    return true;
  }
  bool on_array_begin(Code&) { return true; }
  bool on_array_end(size_t count, Code&) {
    stack_.push_array(count);
    return true;
  }
  bool on_key_part(json::string_view part, size_t, Code&) {
    stack_.push_chars(part);
    return true;
  }
  bool on_key(json::string_view part, size_t, Code&) {
    stack_.push_key(part);
    return true;
  }
  bool on_string_part(json::string_view part, size_t, Code&) {
    stack_.push_chars(part);
    return true;
  }
  bool on_string(json::string_view part, size_t, Code&) {
    stack_.push_string(part);
    return true;
  }
  bool on_number_part(json::string_view, Code&) { return true; }
  bool on_int64(int64_t value, json::string_view, Code&) {
    stack_.push_int64(value);
    return true;
  }
  bool on_uint64(uint64_t value, json::string_view, Code&) {
    stack_.push_uint64(value);
    return true;
  }
  bool on_double(double approximate, json::string_view text, Code&) {
    double value = approximate;  // kept for numbers beyond the range, where from_chars changes nothing
    std::from_chars(text.data(), text.data() + text.size(), value);
    stack_.push_double(value);
    return true;
  }
  bool on_bool(bool value, Code&) {
    stack_.push_bool(value);
    return true;
  }
  bool on_null(Code&) {
    stack_.push_null();
    return true;
  }
  bool on_comment_part(json::string_view, Code&) { return true; }
  bool on_comment(json::string_view, Code&) { return true; }

 private:
  json::value_stack stack_;
};

}  // namespace

json::value parse_json(std::string_view text) {
  json::basic_parser<Handler> parser{json::parse_options()};
  json::error_code code;
  // The whole text in one call, so that a number's text is never cut in two.
  const size_t used = parser.write_some(false, text.data(), text.size(), code);
  if (!code && used < text.size()) code = json::error::extra_data;
  if (code) {
    const auto line = 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(used), '\n');
    throw Error(ErrorKind::data, "line " + std::to_string(line) + ": " + code.message());
  }
  return parser.handler().release();
}

}  // namespace trireme::runtime
