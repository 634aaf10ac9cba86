#include "runtime/watchdog.h"

#include <boost/json/array.hpp>
#include <boost/json/object.hpp>
#include <boost/json/serialize.hpp>

#include "runtime/error.h"
#include "runtime/flight_words.h"
#include "runtime/host_name.h"
#include "runtime/json.h"
#include "runtime/log.h"
#include "runtime/watchdog_leader.h"
#include "runtime/watchdog_member.h"

namespace trireme::runtime {
namespace {

namespace json = boost::json;

std::string to_text(const WatchdogInvitation& invitation) {
  return json::serialize(
      json::object{{"addresses", json::array(invitation.addresses.begin(), invitation.addresses.end())},
                   {"port", invitation.port},
                   {"host", invitation.host},
                   {"question", invitation.question},
                   {"answer", invitation.answer}});
}

WatchdogInvitation invitation_from(const std::string& text) {
  const json::value value = parse_json(text);
  WatchdogInvitation invitation{.port = value.at("port").to_number<int>(),
                                .host = std::string(value.at("host").as_string()),
                                .question = std::string(value.at("question").as_string()),
                                .answer = std::string(value.at("answer").as_string())};
  for (const json::value& address : value.at("addresses").as_array()) {
    invitation.addresses.emplace_back(address.as_string());
  }
  return invitation;
}

/// Of rank 0. Nothing, with a warning, where it cannot listen.
std::unique_ptr<WatchdogLeader> make_leader(const WatchdogPlace& place, const WatchdogOptions& options) {
  try {
    return std::make_unique<WatchdogLeader>(place, options);
  } catch (const Error& error) {
    log_warning("nobody is watched: " + std::string(error.what()));
    return nullptr;
  }
}

std::unique_ptr<WatchdogThread> make_member(const WatchdogPlace& place, const WatchdogOptions& options,
                                            const std::string& invitation_text) {
  if (invitation_text.empty()) return nullptr;
  const WatchdogInvitation invitation = invitation_from(invitation_text);
  auto socket = WatchdogMember::connect(place, invitation);
  if (!socket) return nullptr;
  try {
    return std::make_unique<WatchdogMember>(place, options, std::move(*socket), invitation.host);
  } catch (const Error& error) {
    log_warning("this rank is not watched: " + std::string(error.what()));
    return nullptr;
  }
}

/// Ranks whose answer is not that they are connected.
std::vector<bool> unreached_ranks(const std::vector<std::string>& answers) {
  std::vector<bool> unreached;
  for (const std::string& answer : answers) unreached.push_back(answer.empty());
  unreached.front() = false;
  return unreached;
}

void warn_of(const std::vector<bool>& unreached, const WatchdogInvitation& invitation) {
  std::vector<int> ranks;
  for (size_t i = 0; i < unreached.size(); ++i) {
    if (unreached[i]) ranks.push_back(static_cast<int>(i));
  }
  if (ranks.empty()) return;
  std::string addresses;
  for (const std::string& address : invitation.addresses) addresses += " " + address;
  log_warning(rank_words(ranks) + " cannot connect to rank 0 (TCP port " + std::to_string(invitation.port) + " of" +
              addresses + "): nobody watches " + (ranks.size() == 1 ? "it" : "them"));
}

}  // namespace

Watchdog::Watchdog(Communicator& world, const WatchdogOptions& options) : world_(world) {
  if (world.recorder() == nullptr) return;
  const WatchdogPlace place{
      .rank = world.rank(), .size = world.size(), .host = host_name(), .recorder = *world.recorder()};
  std::unique_ptr<WatchdogLeader> leader;
  if (place.rank == 0) leader = make_leader(place, options);
  const std::string own = leader == nullptr ? "" : to_text(leader->invitation());
  const std::string invitation = all_gather_bytes(world, own).front();
  if (place.rank > 0) thread_ = make_member(place, options, invitation);
  const std::vector<bool> unreached = unreached_ranks(all_gather_bytes(world, thread_ == nullptr ? "" : "connected"));
  if (leader == nullptr) return;
  warn_of(unreached, leader->invitation());
  leader->watch(unreached);
  thread_ = std::move(leader);
}

Watchdog::~Watchdog() = default;

void Watchdog::end() {
  if (world_.recorder() != nullptr) world_.barrier().wait();  // watched: who does not come to it is late
  if (thread_ != nullptr) thread_->stop(true);
}

void Watchdog::disagree(const std::string& message) {
  if (thread_ != nullptr) thread_->disagree(message);
}

}  // namespace trireme::runtime
