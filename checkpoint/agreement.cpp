#include "checkpoint/agreement.h"

#include <exception>
#include <vector>

namespace trireme::checkpoint {

std::optional<Failure> try_together(runtime::Communicator& communicator, const std::function<void()>& part) {
  std::string mine = "+";  // "+" is good; "-reason" is not
  try {
    if (part) part();
  } catch (const std::exception& error) {
    mine = std::string("-") + error.what();
  }
  const std::vector<std::string> all = runtime::all_gather_bytes(communicator, mine);
  for (size_t rank = 0; rank < all.size(); ++rank) {
    if (all[rank] != "+") return Failure{static_cast<int>(rank), all[rank].empty() ? "" : all[rank].substr(1)};
  }
  return std::nullopt;
}

std::string describe(const Failure& failure, const runtime::Communicator& communicator) {
  return communicator.size() == 1 ? failure.reason : "rank " + std::to_string(failure.rank) + ": " + failure.reason;
}

}  // namespace trireme::checkpoint
