// One option of a command: its name, what --help says about it, and how its words become a value in an options struct.
// An option refers to the struct that it fills, which must outlive it. It does not know where the words came from.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "launch/options.h"

namespace trireme::launch {

/// What an option holds now; monostate is "not set".
using OptionValue =
    std::variant<std::monostate, bool, int64_t, double, std::string, std::vector<std::string>, std::vector<double>>;

struct Option {
  std::string name;         ///< without dashes: "warmup-steps"
  std::string placeholder;  ///< of its value in --help: "N"
  std::string help;         ///< one sentence without a full stop
  bool required = false;
  bool is_list = false;
  /// Needs no value: --profile is --profile=true. One that may have another has "[=N]" for its placeholder.
  bool is_flag = false;
  /// What --help gives as the default instead of the value: "a tenth of --learning-rate".
  std::string default_note;
  /// Takes one word, or any number with is_list, none or one with is_flag. Throws Error(usage) without the option's
  /// name: "'ten' is not a ...".
  std::function<void(const std::vector<std::string>&)> assign;
  std::function<OptionValue()> value;
};

struct WholeRange {
  int64_t least = 0;
  int64_t most = std::numeric_limits<int64_t>::max();
};

struct RealRange {
  double least = 0;
  double most = std::numeric_limits<double>::infinity();
  bool least_excluded = false;
  bool most_excluded = false;
};

Option whole_option(const std::string& name, int64_t& field, WholeRange range, const std::string& help);
Option whole_option(const std::string& name, std::optional<int64_t>& field, WholeRange range, const std::string& help);
Option real_option(const std::string& name, double& field, RealRange range, const std::string& help);
Option real_option(const std::string& name, std::optional<double>& field, RealRange range, const std::string& help);
Option text_option(const std::string& name, std::string& field, const std::string& placeholder,
                   const std::string& help);
/// Text that must not be empty.
Option path_option(const std::string& name, std::string& field, const std::string& placeholder,
                   const std::string& help);
Option choice_option(const std::string& name, std::string& field, const std::vector<std::string>& choices,
                     const std::string& help);
Option list_option(const std::string& name, std::vector<std::string>& field, const std::string& placeholder,
                   const std::string& help);
/// A list whose words must not be empty.
Option path_list_option(const std::string& name, std::vector<std::string>& field, const std::string& placeholder,
                        const std::string& help);
Option real_list_option(const std::string& name, std::vector<double>& field, RealRange range, const std::string& help);
/// True when given; true or false in a file.
Option flag_option(const std::string& name, bool& field, const std::string& help);
/// 0 unless given; `implied` when given without a number, or as true in a file.
Option whole_flag_option(const std::string& name, int64_t& field, WholeRange range, int64_t implied,
                         const std::string& placeholder, const std::string& help);
/// A time above 0 (time_limit.h) in seconds.
Option duration_option(const std::string& name, std::optional<double>& field, const std::string& help);
/// auto, never or a step.
Option resume_option(const std::string& name, Resume& field, const std::string& help);
/// Text, not empty, in which \n, \t, \r and \\ stand for a line end, a tab, a carriage return and a backslash.
Option escaped_text_option(const std::string& name, std::optional<std::string>& field, const std::string& help);

Option required(Option option);
Option with_default_note(Option option, const std::string& note);

/// A whole number in decimal, nothing before or after it. Throws Error(usage) saying what is wrong with the word.
int64_t parse_whole(const std::string& word, WholeRange range);
/// A finite number, nothing before or after it.
double parse_real(const std::string& word, RealRange range);

/// As --help and messages show it: 0.0006, [a b], none.
std::string to_string(const OptionValue& value);

}  // namespace trireme::launch
