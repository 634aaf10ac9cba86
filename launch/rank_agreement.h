// Ranks that were started with different options would train a model that nobody asked for, or wait for each other for
// ever. So they compare what they were told before anything else.
#pragma once

#include <boost/json/object.hpp>
#include <optional>
#include <string>

#include "launch/option_parser.h"
#include "runtime/communicator.h"

namespace trireme::launch {

/// For a call that names no options: the program's version and commit, and the command.
boost::json::object shared_command(const std::string& command);

/// What all ranks must have been told alike, by the name that a message uses: the program's version and commit, the
/// command, and every option with its value but those that may differ from rank to rank (--threads).
boost::json::object shared_options(const OptionTable& table);

/// The first name whose value differs on some rank from that of rank 0, as one line with both values and both ranks;
/// nothing when all agree. Collective; the same answer on every rank.
std::optional<std::string> difference_between_ranks(runtime::Communicator& world, const boost::json::object& mine);

}  // namespace trireme::launch
