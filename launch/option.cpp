#include "launch/option.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include "launch/number_text.h"
#include "launch/time_limit.h"
#include "runtime/error.h"

namespace trireme::launch {
namespace {

using runtime::Error;
using runtime::ErrorKind;

[[noreturn]] void refuse(const std::string& word, const std::string& why) {
  throw Error(ErrorKind::usage, "'" + word + "' " + why);
}

std::string range_text(WholeRange range) {
  if (range.most == std::numeric_limits<int64_t>::max()) return "at least " + std::to_string(range.least);
  return std::to_string(range.least) + " to " + std::to_string(range.most);
}

std::string range_text(RealRange range) {
  std::string text = (range.least_excluded ? "above " : "at least ") + number_text(range.least);
  if (std::isinf(range.most)) return text;
  return text + (range.most_excluded ? " and below " : " and at most ") + number_text(range.most);
}

std::string joined(const std::vector<std::string>& words, const std::string& between) {
  std::string text;
  for (const std::string& word : words) text += (text.empty() ? "" : between) + word;
  return text;
}

std::string unescaped(const std::string& word) {
  std::string text;
  for (size_t i = 0; i < word.size(); ++i) {
    if (word[i] != '\\') {
      text += word[i];
      continue;
    }
    const char next = ++i < word.size() ? word[i] : '\0';
    if (next == 'n')
      text += '\n';
    else if (next == 't')
      text += '\t';
    else if (next == 'r')
      text += '\r';
    else if (next == '\\')
      text += '\\';
    else
      refuse(word, "has a backslash that is not \\n, \\t, \\r or \\\\");
  }
  return text;
}

std::string escaped(const std::string& text) {
  std::string word;
  for (const char c : text) {
    if (c == '\n')
      word += "\\n";
    else if (c == '\t')
      word += "\\t";
    else if (c == '\r')
      word += "\\r";
    else if (c == '\\')
      word += "\\\\";
    else
      word += c;
  }
  return word;
}

}  // namespace

int64_t parse_whole(const std::string& word, WholeRange range) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error == std::errc::invalid_argument || end != word.data() + word.size()) refuse(word, "is not a whole number");
  if (error == std::errc::result_out_of_range || value < range.least || value > range.most)
    refuse(word, "is out of range, " + range_text(range));
  return value;
}

double parse_real(const std::string& word, RealRange range) {
  double value = 0;
  const auto [end, error] = std::from_chars(word.data(), word.data() + word.size(), value);
  if (error == std::errc::invalid_argument || end != word.data() + word.size() || !std::isfinite(value))
    refuse(word, "is not a number");
  const bool low = range.least_excluded ? value <= range.least : value < range.least;
  const bool high = range.most_excluded ? value >= range.most : value > range.most;
  if (error == std::errc::result_out_of_range || low || high) refuse(word, "is out of range, " + range_text(range));
  return value;
}

Option whole_option(const std::string& name, int64_t& field, WholeRange range, const std::string& help) {
  return {.name = name,
          .placeholder = "N",
          .help = help,
          .assign = [&field, range](const auto& words) { field = parse_whole(words[0], range); },
          .value = [&field] { return OptionValue(field); }};
}

Option whole_option(const std::string& name, std::optional<int64_t>& field, WholeRange range, const std::string& help) {
  return {.name = name,
          .placeholder = "N",
          .help = help,
          .assign = [&field, range](const auto& words) { field = parse_whole(words[0], range); },
          .value = [&field] { return field ? OptionValue(*field) : OptionValue(); }};
}

Option real_option(const std::string& name, double& field, RealRange range, const std::string& help) {
  return {.name = name,
          .placeholder = "X",
          .help = help,
          .assign = [&field, range](const auto& words) { field = parse_real(words[0], range); },
          .value = [&field] { return OptionValue(field); }};
}

Option real_option(const std::string& name, std::optional<double>& field, RealRange range, const std::string& help) {
  return {.name = name,
          .placeholder = "X",
          .help = help,
          .assign = [&field, range](const auto& words) { field = parse_real(words[0], range); },
          .value = [&field] { return field ? OptionValue(*field) : OptionValue(); }};
}

Option text_option(const std::string& name, std::string& field, const std::string& placeholder,
                   const std::string& help) {
  return {.name = name,
          .placeholder = placeholder,
          .help = help,
          .assign = [&field](const auto& words) { field = words[0]; },
          .value = [&field] { return OptionValue(field); }};
}

Option path_option(const std::string& name, std::string& field, const std::string& placeholder,
                   const std::string& help) {
  Option option = text_option(name, field, placeholder, help);
  option.assign = [&field](const auto& words) {
    if (words[0].empty()) refuse("", "is not a path");
    field = words[0];
  };
  return option;
}

Option choice_option(const std::string& name, std::string& field, const std::vector<std::string>& choices,
                     const std::string& help) {
  return {.name = name,
          .placeholder = joined(choices, "|"),
          .help = help,
          .assign =
              [&field, choices](const auto& words) {
                if (std::find(choices.begin(), choices.end(), words[0]) == choices.end())
                  refuse(words[0], choices.size() == 1 ? "is not known: use " + choices[0]
                                                       : "is not one of " + joined(choices, ", "));
                field = words[0];
              },
          .value = [&field] { return OptionValue(field); }};
}

Option list_option(const std::string& name, std::vector<std::string>& field, const std::string& placeholder,
                   const std::string& help) {
  return {.name = name,
          .placeholder = placeholder + "...",
          .help = help,
          .is_list = true,
          .assign = [&field](const auto& words) { field = words; },
          .value = [&field] { return OptionValue(field); }};
}

Option path_list_option(const std::string& name, std::vector<std::string>& field, const std::string& placeholder,
                        const std::string& help) {
  Option option = list_option(name, field, placeholder, help);
  option.assign = [&field](const auto& words) {
    if (std::ranges::find(words, "") != words.end()) refuse("", "is not a path");
    field = words;
  };
  return option;
}

Option real_list_option(const std::string& name, std::vector<double>& field, RealRange range, const std::string& help) {
  return {.name = name,
          .placeholder = "X...",
          .help = help,
          .is_list = true,
          .assign =
              [&field, range](const auto& words) {
                field.clear();
                for (const std::string& word : words) field.push_back(parse_real(word, range));
              },
          .value = [&field] { return OptionValue(field); }};
}

Option flag_option(const std::string& name, bool& field, const std::string& help) {
  return {.name = name,
          .placeholder = "",
          .help = help,
          .is_flag = true,
          .assign =
              [&field](const auto& words) {
                if (!words.empty() && words[0] != "true" && words[0] != "false")
                  refuse(words[0], "is not one of true, false");
                field = words.empty() || words[0] == "true";
              },
          .value = [&field] { return OptionValue(field); }};
}

Option whole_flag_option(const std::string& name, int64_t& field, WholeRange range, int64_t implied,
                         const std::string& placeholder, const std::string& help) {
  return {.name = name,
          .placeholder = "[=" + placeholder + "]",
          .help = help,
          .is_flag = true,
          .assign =
              [&field, range, implied](const auto& words) {
                if (words.empty() || words[0] == "true")
                  field = implied;
                else
                  field = words[0] == "false" ? 0 : parse_whole(words[0], range);
              },
          .value = [&field] { return OptionValue(field); }};
}

Option duration_option(const std::string& name, std::optional<double>& field, const std::string& help) {
  return {.name = name,
          .placeholder = "DURATION",
          .help = help,
          .assign =
              [&field](const auto& words) {
                const std::optional<double> seconds = parse_duration(words[0]);
                if (!seconds) refuse(words[0], "is not a time such as 90s, 30m, 12h, 2d or 1-12:00:00, 3650d at most");
                if (*seconds == 0) refuse(words[0], "is no time at all: give more, or leave it out");
                field = seconds;
              },
          .value = [&field] { return field ? OptionValue(*field) : OptionValue(); }};
}

Option resume_option(const std::string& name, Resume& field, const std::string& help) {
  return {.name = name,
          .placeholder = "auto|never|STEP",
          .help = help,
          .assign =
              [&field](const auto& words) {
                const std::string& word = words[0];
                if (word == "auto")
                  field = {Resume::Mode::automatic, 0};
                else if (word == "never")
                  field = {Resume::Mode::never, 0};
                else if (!word.empty() && word.find_first_not_of("0123456789") == std::string::npos)
                  field = {Resume::Mode::step, parse_whole(word, {})};
                else
                  refuse(word, "is not auto, never or a step");
              },
          .value = [&field]() -> OptionValue {
            if (field.mode == Resume::Mode::step) return field.step;
            return std::string(field.mode == Resume::Mode::never ? "never" : "auto");
          }};
}

Option escaped_text_option(const std::string& name, std::optional<std::string>& field, const std::string& help) {
  return {.name = name,
          .placeholder = "TEXT",
          .help = help,
          .assign =
              [&field](const auto& words) {
                if (words[0].empty()) refuse("", "is empty");
                field = unescaped(words[0]);
              },
          .value = [&field] { return field ? OptionValue(escaped(*field)) : OptionValue(); }};
}

Option required(Option option) {
  option.required = true;
  return option;
}

Option with_default_note(Option option, const std::string& note) {
  option.default_note = note;
  return option;
}

std::string to_string(const OptionValue& value) {
  struct Writer {
    std::string operator()(std::monostate) const { return "none"; }
    std::string operator()(bool flag) const { return flag ? "true" : "false"; }
    std::string operator()(int64_t number) const { return std::to_string(number); }
    std::string operator()(double number) const { return number_text(number); }
    std::string operator()(const std::string& text) const { return text; }
    std::string operator()(const std::vector<std::string>& words) const { return joined(words, " "); }
    std::string operator()(const std::vector<double>& numbers) const {
      std::vector<std::string> words;
      for (const double number : numbers) words.push_back(number_text(number));
      return joined(words, " ");
    }
  };
  return std::visit(Writer{}, value);
}

}  // namespace trireme::launch
