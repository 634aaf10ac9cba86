#include "checkpoint/agreement.h"

#include <exception>
#include <new>
#include <vector>

namespace trireme::checkpoint {
namespace {

using runtime::Error;
using runtime::ErrorKind;

// What a rank tells the others: nothing when its part worked, else its kind as one byte and the reason.
std::string outcome(ErrorKind kind, const std::string& reason) {
  return static_cast<char>(kind) + reason;
}

std::string outcome_of(const std::function<void()>& part) {
  try {
    if (part) part();
    return "";
  } catch (const Error& error) {
    return outcome(error.kind(), error.what());
  } catch (const std::bad_alloc&) {
    return outcome(ErrorKind::device, "out of memory");
  } catch (const std::exception& error) {
    return outcome(ErrorKind::internal, error.what());
  }
}

}  // namespace

std::optional<Failure> try_together(runtime::Communicator& communicator, const std::function<void()>& part) {
  const std::vector<std::string> all = runtime::all_gather_bytes(communicator, outcome_of(part));
  std::optional<Failure> first;
  for (size_t rank = 0; rank < all.size(); ++rank) {
    if (all[rank].empty()) continue;
    Failure failure{static_cast<int>(rank), static_cast<ErrorKind>(all[rank][0]), all[rank].substr(1)};
    if (failure.kind != ErrorKind::data) return failure;
    if (!first) first = failure;
  }
  return first;
}

std::string describe(const Failure& failure, const runtime::Communicator& communicator) {
  return communicator.size() == 1 ? failure.reason : "rank " + std::to_string(failure.rank) + ": " + failure.reason;
}

void rethrow(const Failure& failure, const runtime::Communicator& communicator, const std::string& before) {
  throw Error(failure.kind, before + describe(failure, communicator));
}

}  // namespace trireme::checkpoint
