#include "launch/rank_agreement.h"

#include <vector>

#include "launch/json_text.h"
#include "launch/run_directory.h"
#include "launch/version.h"
#include "runtime/json.h"

namespace trireme::launch {
namespace {

namespace json = boost::json;

/// Each rank may use the cores it has.
constexpr std::string_view kOfEachRank = "threads";

std::string value_text(const json::value* value) {
  return value == nullptr || value->is_null() ? "not given" : json_line(*value);
}

std::string difference_text(std::string_view name, const json::value* theirs, int rank, const json::value* first) {
  return std::string(name) + " is " + value_text(theirs) + " on rank " + std::to_string(rank) + " and " +
         value_text(first) + " on rank 0; all ranks must have the same";
}

/// Names of either: a program of another version may have other options.
std::optional<std::string> difference(const json::object& first, const json::object& other, int rank) {
  for (const auto& [name, value] : first) {
    const json::value* theirs = other.if_contains(name);
    if (theirs == nullptr || *theirs != value) return difference_text(name, theirs, rank, &value);
  }
  for (const auto& [name, value] : other) {
    if (!first.contains(name)) return difference_text(name, &value, rank, nullptr);
  }
  return std::nullopt;
}

}  // namespace

json::object shared_command(const std::string& command) {
  return {{"the program", version() + " (" + commit() + ")"}, {"the command", command}};
}

json::object shared_options(const OptionTable& table) {
  json::object shared = shared_command(table.command);
  for (const auto& [name, value] : options_json(table)) {
    if (std::string_view(name) != kOfEachRank) shared["--" + std::string(name)] = value;
  }
  return shared;
}

std::optional<std::string> difference_between_ranks(runtime::Communicator& world, const json::object& mine) {
  if (world.size() == 1) return std::nullopt;
  const std::vector<std::string> texts = runtime::all_gather_bytes(world, json_line(mine));
  for (size_t rank = 1; rank < texts.size(); ++rank) {
    if (texts[rank] == texts[0]) continue;
    return difference(runtime::parse_json(texts[0]).as_object(), runtime::parse_json(texts[rank]).as_object(),
                      static_cast<int>(rank));
  }
  return std::nullopt;
}

}  // namespace trireme::launch
