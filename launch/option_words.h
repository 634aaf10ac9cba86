// The two places where options come from, cut into names and values and not yet understood: the command line and the
// INI file. Boost.Program_options does the cutting, and is seen in the .cpp only: it is slow to compile.
#pragma once

#include <string>
#include <vector>

#include "launch/option.h"

namespace trireme::launch {

/// An option as it was written somewhere.
struct GivenOption {
  std::string name;                 ///< "steps"; empty for a positional word
  std::vector<std::string> values;  ///< one; any number for a list
  std::string where;                ///< for messages: "--steps" or "run.ini:3: steps"
};

/// The words of a line: quotes and backslashes as in a shell, and nothing else of it.
std::vector<std::string> words_of_line(const std::string& line);

/// In the order of the words; "help" among them when asked for. Throws Error(usage) for what is not an option of
/// `command`, and for values that are missing.
std::vector<GivenOption> cut_command_line(const std::string& command, const std::vector<Option>& options,
                                          const std::vector<std::string>& words);

/// Lines NAME = VALUE; # starts a comment; no sections. The lines of a list option are its values.
std::vector<GivenOption> cut_config_file(const std::string& command, const std::vector<Option>& options,
                                         const std::string& path);

}  // namespace trireme::launch
