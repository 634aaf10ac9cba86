#include "launch/option_parser.h"

#include <algorithm>
#include <map>

#include "launch/option_words.h"
#include "runtime/error.h"

namespace trireme::launch {
namespace {

using runtime::Error;
using runtime::ErrorKind;

/// The table's options and the one that every command has.
std::vector<Option> with_config(const OptionTable& table, std::string& config) {
  std::vector<Option> options = table.options;
  options.push_back(text_option("config", config, "FILE", "Options from an INI file, lines NAME = VALUE"));
  return options;
}

void assign(const Option& option, const GivenOption& given) {
  try {
    option.assign(given.values);
  } catch (const Error& error) {
    throw Error(ErrorKind::usage, given.where + ": " + error.what());
  }
}

void take_positionals(const OptionTable& table, std::vector<std::string> words) {
  if (table.positionals.field == nullptr && !words.empty())
    throw Error(ErrorKind::usage, "'" + words[0] + "' is out of place: " + table.command +
                                      " takes options only; see trireme " + table.command + " --help");
  if (table.positionals.field != nullptr) *table.positionals.field = std::move(words);
}

std::string default_text(const Option& option) {
  if (option.required) return "required";
  if (!option.default_note.empty()) return "default: " + option.default_note;
  if (option.is_flag) return "";  // they are all off
  const std::string value = to_string(option.value());
  return value.empty() ? "" : "default: " + value;
}

std::string option_line(const std::string& name, const std::string& text) {
  constexpr size_t kColumn = 34;
  std::string line = "  " + name;
  line.append(line.size() + 2 <= kColumn ? kColumn - line.size() : 2, ' ');
  return line + text + "\n";
}

}  // namespace

bool fill_options(const OptionTable& table, const std::vector<std::string>& words) {
  std::string config;
  const std::vector<Option> options = with_config(table, config);
  std::map<std::string, GivenOption> last;  // the last time counts
  std::vector<std::string> positional_words;
  const auto take = [&](std::vector<GivenOption> given) {
    for (GivenOption& one : given) {
      if (one.name.empty())
        positional_words.push_back(one.values[0]);
      else
        last.insert_or_assign(one.name, std::move(one));
    }
  };

  std::vector<GivenOption> from_words = cut_command_line(table.command, options, words);
  const auto named = [&](const std::string& name) {
    return std::find_if(from_words.rbegin(), from_words.rend(), [&](const auto& one) { return one.name == name; });
  };
  if (named("help") != from_words.rend()) return false;
  if (const auto file = named("config"); file != from_words.rend())
    take(cut_config_file(table.command, table.options, file->values[0]));
  take(std::move(from_words));

  if (table.given != nullptr) table.given->clear();
  for (const Option& option : table.options) {
    const auto given = last.find(option.name);
    if (given != last.end()) {
      assign(option, given->second);
      if (table.given != nullptr) table.given->push_back(option.name);
    } else if (option.required) {
      throw Error(ErrorKind::usage, table.command + " needs --" + option.name + " " + option.placeholder +
                                        "; see trireme " + table.command + " --help");
    }
  }
  take_positionals(table, std::move(positional_words));
  return true;
}

std::string help_text(const OptionTable& table) {
  std::string text = "trireme " + table.command;
  if (table.positionals.field != nullptr) text += " " + table.positionals.usage;
  if (!table.options.empty()) text += " [OPTIONS]";
  text += "\n" + table.summary + "\n\n";
  std::string config;
  for (const Option& option : with_config(table, config)) {
    const std::string note = default_text(option);
    text += option_line("--" + option.name + (option.is_flag ? "" : " ") + option.placeholder,
                        option.help + (note.empty() ? "" : " (" + note + ")"));
  }
  text += option_line("--help", "This text");
  text +=
      "\nThe command line wins over the file; of an option given twice the last one counts (in the\nfile, lines of a "
      "list add up).\n";
  return text;
}

}  // namespace trireme::launch
