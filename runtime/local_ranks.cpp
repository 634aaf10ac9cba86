#include "runtime/local_ranks.h"

#include <exception>
#include <mutex>
#include <thread>
#include <vector>

#include "runtime/error.h"
#include "runtime/host_communicator.h"
#include "runtime/local_transport.h"

namespace trireme::runtime {
namespace {

/// The exceptions of all ranks, in order of time.
class Failures {
 public:
  void add(std::exception_ptr failure) {
    std::lock_guard lock(mutex_);
    failures_.push_back(std::move(failure));
  }

  /// A rank's own fault rather than "another rank failed", which is what its neighbours report.
  void rethrow() const {
    for (const std::exception_ptr& failure : failures_) {
      try {
        std::rethrow_exception(failure);
      } catch (const Error& error) {
        if (error.kind() != ErrorKind::peer) throw;
      }
    }
    if (!failures_.empty()) std::rethrow_exception(failures_.front());
  }

 private:
  std::mutex mutex_;
  std::vector<std::exception_ptr> failures_;
};

void run_rank(const std::shared_ptr<LocalWorld>& world, int rank, const std::function<void(Communicator&)>& body,
              const MessageOptions& options, Failures& failures) {
  std::unique_ptr<HostCommunicator> communicator;  // leaves only after fail(), which says more than that it left
  try {
    communicator = std::make_unique<HostCommunicator>(local_transport(world, rank), options);
    body(*communicator);
  } catch (const std::exception& error) {
    failures.add(std::current_exception());
    world->fail(rank, error.what());
  } catch (...) {
    failures.add(std::current_exception());
    world->fail(rank, "unknown exception");
  }
}

}  // namespace

void run_local_ranks(int size, const std::function<void(Communicator&)>& body, const MessageOptions& options) {
  const auto world = std::make_shared<LocalWorld>(size);
  Failures failures;
  {
    std::vector<std::jthread> threads;
    for (int rank = 0; rank < size; ++rank) {
      threads.emplace_back([&, rank] { run_rank(world, rank, body, options, failures); });
    }
  }
  failures.rethrow();
}

}  // namespace trireme::runtime
