#include "launch/json_text.h"

#include <algorithm>
#include <boost/json.hpp>
#include <cmath>

#include "launch/number_text.h"

namespace trireme::launch {
namespace {

namespace json = boost::json;

/// 1.0, not 1: what was a floating-point number stays one for every reader.
std::string real_text(double value) {
  if (!std::isfinite(value)) return "null";
  std::string text = number_text(value);
  if (text.find_first_of(".e") == std::string::npos) text += ".0";
  return text;
}

bool is_plain(const json::value& value) {
  return !value.is_structured();
}

class Writer {
 public:
  explicit Writer(bool indented) : indented_(indented) {}

  void write(const json::value& value) {
    if (value.is_object())
      write_object(value.get_object());
    else if (value.is_array())
      write_array(value.get_array());
    else if (value.is_double())
      text += real_text(value.get_double());
    else
      text += json::serialize(value);
  }

  std::string text;

 private:
  void write_object(const json::object& object) {
    text += '{';
    ++depth_;
    bool first = true;
    for (const auto& [name, member] : object) {
      if (!first) text += ',';
      break_line(first);
      text += json::serialize(json::string_view(name));
      text += ": ";
      write(member);
      first = false;
    }
    --depth_;
    if (!first) break_line(true);
    text += '}';
  }

  void write_array(const json::array& array) {
    const bool one_line = std::all_of(array.begin(), array.end(), is_plain);
    text += '[';
    ++depth_;
    bool first = true;
    for (const json::value& element : array) {
      if (!first) text += one_line ? ", " : ",";
      if (!one_line) break_line(first);
      write(element);
      first = false;
    }
    --depth_;
    if (!one_line) break_line(true);
    text += ']';
  }

  /// A new line in the indented form; in the other a space after a comma and nothing at the ends.
  void break_line(bool at_an_end) {
    if (indented_)
      text += "\n" + std::string(2 * depth_, ' ');
    else if (!at_an_end)
      text += ' ';
  }

  bool indented_;
  size_t depth_ = 0;
};

}  // namespace

std::string json_text(const json::value& value) {
  Writer writer(true);
  writer.write(value);
  return writer.text + "\n";
}

std::string json_line(const json::value& value) {
  Writer writer(false);
  writer.write(value);
  return writer.text;
}

}  // namespace trireme::launch
