#include "launch/option_words.h"

#include <algorithm>
#include <boost/program_options.hpp>
#include <cerrno>
#include <fstream>
#include <sstream>

#include "launch/suggestion.h"
#include "runtime/error.h"

namespace trireme::launch {
namespace {

namespace po = boost::program_options;
using runtime::Error;
using runtime::ErrorKind;

[[noreturn]] void refuse(const std::string& message) {
  throw Error(ErrorKind::usage, message);
}

po::options_description description(const std::vector<Option>& options) {
  po::options_description known;
  for (const Option& option : options) {
    if (option.is_list) {
      known.add_options()(option.name.c_str(), po::value<std::vector<std::string>>()->multitoken());
    } else if (option.is_flag) {
      known.add_options()(option.name.c_str(), po::value<std::string>()->implicit_value("true"));
    } else {
      known.add_options()(option.name.c_str(), po::value<std::string>());
    }
  }
  return known;
}

const Option* find_option(const std::vector<Option>& options, const std::string& name) {
  const auto found = std::find_if(options.begin(), options.end(), [&](const Option& one) { return one.name == name; });
  return found == options.end() ? nullptr : &*found;
}

std::string without_dashes(const std::string& word) {
  const size_t begin = word.find_first_not_of('-');
  const std::string name = begin == std::string::npos ? "" : word.substr(begin);
  return name.substr(0, name.find('='));
}

/// "; did you mean --steps?" or what else helps. `dashes` goes before the suggested name.
std::string mend(const std::string& command, const std::vector<Option>& options, const std::string& name,
                 const std::string& dashes) {
  std::vector<std::string> names;
  for (const Option& option : options) names.push_back(option.name);
  const auto nearest = nearest_name(name, names);
  if (nearest) return "; did you mean " + dashes + *nearest + "?";
  return "; see trireme " + command + " --help";
}

[[noreturn]] void refuse_unknown(const std::string& command, const std::vector<Option>& options,
                                 const std::string& word) {
  const std::string shown = word.substr(0, word.find('='));
  refuse(shown + " is not an option of " + command + mend(command, options, without_dashes(word), "--"));
}

/// `next` is the word where the value should be, if there is one.
[[noreturn]] void refuse_missing_value(const std::string& name, const std::vector<Option>& options,
                                       const std::string& next) {
  const std::string message = "--" + name + " needs a value";
  if (next.empty() || find_option(options, without_dashes(next)) != nullptr) refuse(message);
  refuse(message + "; one that begins with -- is written --" + name + "=VALUE");
}

bool looks_like_an_option(const std::string& word) {
  return word.size() > 1 && word[0] == '-';
}

po::parsed_options cut(const po::options_description& known, const std::vector<std::string>& words) {
  using namespace po::command_line_style;
  const int style = allow_long | long_allow_adjacent | long_allow_next;  // no guessing from the first letters
  try {
    return po::command_line_parser(words).options(known).style(style).allow_unregistered().run();
  } catch (const po::invalid_command_line_syntax& error) {
    const std::string name = without_dashes(error.get_option_name());
    if (error.kind() == po::invalid_syntax::extra_parameter) refuse("--" + name + " takes no value");
    refuse("--" + name + " needs a value");
  } catch (const po::error& error) {
    refuse(error.what());
  }
}

}  // namespace

std::vector<std::string> words_of_line(const std::string& line) {
  char quote = '\0';
  for (size_t i = 0; i < line.size(); ++i) {
    const char letter = line[i];
    if (letter == '\\') {
      ++i;  // the next one is itself
    } else if (quote != '\0') {
      if (letter == quote) quote = '\0';
    } else if (letter == '"' || letter == '\'') {
      quote = letter;
    }
  }
  if (quote != '\0') refuse(std::string("a quote ") + quote + " is not closed");
  return po::split_unix(line);
}

std::vector<GivenOption> cut_command_line(const std::string& command, const std::vector<Option>& options,
                                          const std::vector<std::string>& words) {
  po::options_description known = description(options);
  known.add_options()("help", "");
  std::vector<GivenOption> given;
  for (const po::option& found : cut(known, words).options) {
    const std::string& word = found.original_tokens.empty() ? found.string_key : found.original_tokens[0];
    if (word == "-h") {
      given.push_back({"help", {}, "-h"});
      continue;
    }
    const bool positional = found.position_key >= 0 || found.string_key.empty();
    if (found.unregistered || (positional && looks_like_an_option(word))) refuse_unknown(command, options, word);
    const bool in_next_word = found.original_tokens.size() > 1;
    for (const std::string& value : found.value) {
      if (in_next_word && value.rfind("--", 0) == 0) refuse_missing_value(found.string_key, options, value);
      if (found.value.size() > 1 && looks_like_an_option(value)) refuse_unknown(command, options, value);
    }
    if (positional) {
      given.push_back({"", {word}, word});
    } else {
      given.push_back({found.string_key, found.value, "--" + found.string_key});
    }
  }
  return given;
}

std::vector<GivenOption> cut_config_file(const std::string& command, const std::vector<Option>& options,
                                         const std::string& path) {
  std::ifstream file(path);
  if (!file) refuse("--config: cannot read " + path + ": " + runtime::system_message(errno));
  const po::options_description known = description(options);
  std::vector<GivenOption> given;
  std::string line;
  for (int number = 1; std::getline(file, line); ++number) {
    const std::string where = path + ":" + std::to_string(number) + ": ";
    const size_t begin = line.find_first_not_of(" \t\r");
    if (begin != std::string::npos && line[begin] == '[')
      refuse(where + "sections are not used here; write lines NAME = VALUE");
    std::vector<po::option> found;
    try {
      std::istringstream text(line);
      found = po::parse_config_file(text, known, true).options;
    } catch (const po::error&) {
      refuse(where + "'" + line.substr(begin) + "' is not of the form NAME = VALUE");
    }
    for (const po::option& option : found) {
      const Option* known_option = find_option(options, option.string_key);
      if (known_option == nullptr)
        refuse(where + option.string_key + " is not an option of " + command +
               mend(command, options, without_dashes(option.string_key), ""));
      const auto same_name = [&](const GivenOption& earlier) { return earlier.name == option.string_key; };
      const auto earlier = std::find_if(given.begin(), given.end(), same_name);
      if (known_option->is_list && earlier != given.end()) {
        earlier->values.insert(earlier->values.end(), option.value.begin(), option.value.end());
      } else {
        given.push_back({option.string_key, option.value, where + option.string_key});
      }
    }
  }
  if (file.bad()) refuse("--config: cannot read " + path + ": " + runtime::system_message(errno));
  return given;
}

}  // namespace trireme::launch
