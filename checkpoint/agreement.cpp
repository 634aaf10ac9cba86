#include "checkpoint/agreement.h"

#include <exception>
#include <new>
#include <system_error>
#include <vector>

namespace trireme::checkpoint {
namespace {

using runtime::Error;
using runtime::ErrorKind;

/// The first byte of an outcome: a report follows, or a reason after the kind of the failure.
constexpr char kReport = 'r';

std::string failed(ErrorKind kind, const std::string& reason) {
  return static_cast<char>('0' + static_cast<int>(kind)) + reason;
}

}  // namespace

std::string outcome_of(const std::function<std::string()>& part) {
  try {
    return kReport + part();
  } catch (const Error& error) {
    return failed(error.kind(), error.what());
  } catch (const std::bad_alloc&) {
    return failed(ErrorKind::device, "out of memory");
  } catch (const std::system_error& error) {  // of std::filesystem, among others
    return failed(ErrorKind::io, error.what());
  } catch (const std::exception& error) {
    return failed(ErrorKind::internal, error.what());
  }
}

std::optional<Failure> failure_of(std::span<const std::string> outcomes) {
  std::optional<Failure> first;
  for (size_t rank = 0; rank < outcomes.size(); ++rank) {
    const std::string& outcome = outcomes[rank];
    if (outcome.at(0) == kReport) continue;
    Failure failure{static_cast<int>(rank), static_cast<ErrorKind>(outcome[0] - '0'), outcome.substr(1)};
    if (failure.kind != ErrorKind::data) return failure;
    if (!first) first = failure;
  }
  return first;
}

std::string report_of(const std::string& outcome) {
  return outcome.substr(1);
}

std::optional<Failure> try_together(runtime::Communicator& communicator, const std::function<void()>& part) {
  const std::string mine = outcome_of([&] {
    if (part) part();
    return std::string();
  });
  return failure_of(runtime::all_gather_bytes(communicator, mine));
}

std::string describe(const Failure& failure, size_t ranks) {
  return ranks == 1 ? failure.reason : "rank " + std::to_string(failure.rank) + ": " + failure.reason;
}

std::string describe(const Failure& failure, const runtime::Communicator& communicator) {
  return describe(failure, static_cast<size_t>(communicator.size()));
}

void rethrow(const Failure& failure, const runtime::Communicator& communicator, const std::string& before) {
  throw Error(failure.kind, before + describe(failure, communicator));
}

}  // namespace trireme::checkpoint
