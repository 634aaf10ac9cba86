// From words and an INI file to a filled options struct. The command line wins over the file; an option given twice
// counts once, the last time. Whatever is wrong becomes Error(usage) with one line that names the option, or the file
// and its line, and the mend.
#pragma once

#include <string>
#include <vector>

#include "launch/option.h"

namespace trireme::launch {

/// Words without a leading dash, where a command takes them.
struct Positionals {
  std::string usage;  ///< as --help shows them: "list|show|verify PATH"; empty: the command takes none
  std::vector<std::string>* field = nullptr;
};

/// All that a command understands. `--help` and `--config` come on top for every command.
struct OptionTable {
  std::string command;
  std::string summary;
  std::vector<Option> options;
  Positionals positionals;
  /// Where to keep the names of the options that the words or the file named; null: nobody asks.
  std::vector<std::string>* given = nullptr;
};

/// Fills what the table refers to. False when the words ask for help, and then nothing is filled.
bool fill_options(const OptionTable& table, const std::vector<std::string>& words);

/// What `trireme COMMAND --help` prints: every option with its default. Call it before fill_options changes the values.
std::string help_text(const OptionTable& table);

}  // namespace trireme::launch
