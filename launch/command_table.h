// The commands of the program and what the first words of its command line mean. It knows which commands exist and how
// their options are filled, not what they do.
#pragma once

#include <boost/json/object.hpp>
#include <functional>
#include <string>
#include <vector>

#include "runtime/communicator.h"

namespace trireme::launch {

/// What the words ask for, options filled and checked.
struct Invocation {
  /// Text for standard output and nothing more to do: --help, --version.
  std::string text;
  /// Otherwise: runs the command and returns the exit code.
  std::function<int(runtime::Communicator& world)> run;
  std::string command;
  /// The command is made for one rank only.
  bool alone = false;
  /// What all ranks must have been told alike.
  boost::json::object shared{};
  /// Ranks that do not see each other would all write one run directory.
  bool writes_run = false;
};

/// `words` are the program's arguments without its name. Throws Error(usage).
Invocation parse_invocation(const std::vector<std::string>& words);

}  // namespace trireme::launch
