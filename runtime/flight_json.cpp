#include "runtime/flight_json.h"

#include <algorithm>
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "runtime/error.h"
#include "runtime/json.h"

// {"phase": "training", "count": 812,
//  "groups": [{"id": 3, "name": "dp", "ranks": [0, 2]}, ...],  when there are others than before, with "standing"
//  "standing": [{"entered": 5, "messages": [[peer, sent, received], ...], "in_flight": [CALL, ...]}, ...],
//  "waits": [group, CALL] or null, "last": [group, CALL] or null, "last_left": true}
// CALL: [op, position, elements, dtype, peer]

namespace trireme::runtime {
namespace {

namespace json = boost::json;

json::array to_json(const FlightCall& call) {
  return {call.op, call.position, call.elements, json::string(name(call.dtype)), call.peer};
}

json::value to_json(const std::optional<FlightPlace>& place) {
  if (!place) return nullptr;
  return json::array{place->group, to_json(place->call)};
}

json::object standing_of(const GroupFlight& group) {
  json::array messages;
  for (const auto& [peer, sent, received] : group.messages) messages.push_back(json::array{peer, sent, received});
  json::array in_flight;
  for (const FlightCall& call : group.in_flight) in_flight.push_back(to_json(call));
  return {{"entered", group.entered}, {"messages", std::move(messages)}, {"in_flight", std::move(in_flight)}};
}

bool same_groups(const std::vector<GroupFlight>& a, const std::vector<GroupFlight>& b) {
  return std::ranges::equal(a, b, [](const GroupFlight& one, const GroupFlight& other) {
    return one.id == other.id && one.name == other.name && one.world_ranks == other.world_ranks;
  });
}

/// Reads one line; `at` throws boost::system::system_error for what is not there or of another type.
class Reader {
 public:
  Reader(int world_size, RankFlight& flight) : world_size_(world_size), flight_(flight) {}

  void read(const json::object& line) {
    if (const auto* value = line.if_contains("phase")) {
      const auto phase = phase_from_name(std::string_view(value->as_string()));
      if (!phase) throw Error(ErrorKind::data, "no such phase");
      flight_.phase = *phase;
    }
    if (const auto* value = line.if_contains("count")) flight_.count = value->to_number<int64_t>();
    if (const auto* value = line.if_contains("groups")) read_groups(value->as_array());
    if (const auto* value = line.if_contains("standing")) read_standing(value->as_array());
    if (const auto* value = line.if_contains("waits")) flight_.waits = place(*value);
    if (const auto* value = line.if_contains("last")) flight_.last = place(*value);
    if (const auto* value = line.if_contains("last_left")) flight_.last_left = value->as_bool();
    for (const auto& place : {flight_.waits, flight_.last}) {
      if (place && place->group >= flight_.groups.size()) throw Error(ErrorKind::data, "no such group");
    }
  }

 private:
  int rank(const json::value& value) const {
    const int rank = value.to_number<int>();
    if (rank < 0 || rank >= world_size_) throw Error(ErrorKind::data, "no such rank");
    return rank;
  }

  FlightCall call(const json::value& value) const {
    const json::array& parts = value.as_array();
    const auto dtype = dtype_from_name(std::string_view(parts.at(3).as_string()));
    if (!dtype) throw Error(ErrorKind::data, "no such dtype");
    return {.op = std::string(parts.at(0).as_string()),
            .position = parts.at(1).to_number<int64_t>(),
            .elements = parts.at(2).to_number<int64_t>(),
            .dtype = *dtype,
            .peer = parts.at(4).to_number<int>() < 0 ? -1 : rank(parts.at(4))};
  }

  std::optional<FlightPlace> place(const json::value& value) const {
    if (value.is_null()) return std::nullopt;
    const json::array& parts = value.as_array();
    return FlightPlace{.group = parts.at(0).to_number<size_t>(), .call = call(parts.at(1))};
  }

  void read_groups(const json::array& groups) {
    flight_.groups.clear();
    for (const json::value& value : groups) {
      GroupFlight& group = flight_.groups.emplace_back();
      group.id = value.at("id").to_number<int>();
      group.name = value.at("name").as_string();
      for (const json::value& member : value.at("ranks").as_array()) group.world_ranks.push_back(rank(member));
      if (group.world_ranks.empty()) throw Error(ErrorKind::data, "a group of nobody");
    }
  }

  void read_standing(const json::array& standing) {
    for (size_t i = 0; i < flight_.groups.size(); ++i) {
      GroupFlight& group = flight_.groups[i];
      group.entered = standing.at(i).at("entered").to_number<int64_t>();
      group.messages.clear();
      for (const json::value& value : standing.at(i).at("messages").as_array()) {
        group.messages.push_back({.peer = rank(value.at(0)),
                                  .sent = value.at(1).to_number<int64_t>(),
                                  .received = value.at(2).to_number<int64_t>()});
      }
      group.in_flight.clear();
      for (const json::value& value : standing.at(i).at("in_flight").as_array()) group.in_flight.push_back(call(value));
    }
  }

  int world_size_;
  RankFlight& flight_;
};

}  // namespace

std::string flight_line(const RankFlight& flight, const RankFlight& before) {
  json::object line;
  if (flight.phase != before.phase) line["phase"] = json::string(name(flight.phase));
  if (flight.count != before.count) line["count"] = flight.count;
  if (!same_groups(flight.groups, before.groups)) {
    json::array& groups = line["groups"].emplace_array();
    for (const GroupFlight& group : flight.groups) {
      groups.push_back(json::object{{"id", group.id},
                                    {"name", group.name},
                                    {"ranks", json::array(group.world_ranks.begin(), group.world_ranks.end())}});
    }
  }
  if (flight.groups != before.groups) {
    json::array& standing = line["standing"].emplace_array();
    for (const GroupFlight& group : flight.groups) standing.push_back(standing_of(group));
  }
  if (flight.waits != before.waits) line["waits"] = to_json(flight.waits);
  if (flight.last != before.last) line["last"] = to_json(flight.last);
  if (flight.last_left != before.last_left) line["last_left"] = flight.last_left;
  return json::serialize(line);
}

void read_flight_line(std::string_view line, int world_size, RankFlight& flight) {
  try {
    RankFlight read = flight;
    Reader(world_size, read).read(parse_json(line).as_object());
    flight = std::move(read);
  } catch (const std::exception& error) {  // of JSON's accesses as of ours
    throw Error(ErrorKind::data, "not what a rank is at: " + std::string(error.what()));
  }
}

}  // namespace trireme::runtime
