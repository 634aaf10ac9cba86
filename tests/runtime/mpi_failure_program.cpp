// A program of two ranks or more that fails in the way its argument names, with main's catch as a real program has it.
// fails_with.sh looks at what it prints, its exit code, and that it ends in time.
#include <signal.h>
#include <unistd.h>

#include <exception>
#include <iostream>
#include <stdexcept>
#include <string>
#include <vector>

#include "runtime/mpi_session.h"
#include "runtime/watchdog.h"

namespace trireme::runtime {
namespace {

void fail(Communicator& world, const std::string& how) {
  std::vector<float> buffer(how == "mismatch" && world.rank() == 1 ? 70000 : 300000);
  const View view = view_of(std::span<float>(buffer), {static_cast<int64_t>(buffer.size())});
  world.barrier().wait();
  if (how != "mismatch" && world.rank() == 1) {
    const Pending pending = world.all_reduce(view, ReduceOp::sum);
    throw std::runtime_error("rank 1 cannot go on");
  }
  while (true) world.all_reduce(view, ReduceOp::sum).wait();
}

/// Rank `stopped` stops, as by a debugger or a machine that hangs, while all train under a watchdog.
void stop_watched(Communicator& world, int stopped) {
  const Watchdog watchdog(world, {.limit_seconds = 2});
  world.recorder()->set_phase(Phase::training);
  std::vector<float> buffer(100000);
  const View view = view_of(std::span<float>(buffer), {static_cast<int64_t>(buffer.size())});
  for (int step = 0;; ++step) {
    world.all_reduce(view, ReduceOp::sum).wait();
    if (step == 100 && world.rank() == stopped) raise(SIGSTOP);
  }
}

void report(const std::exception& error) {
  std::cerr << "failed: " + std::string(error.what()) + "\n";  // one write: ranks share the terminal
}

/// The exception passes the session: it must neither finalize nor wait.
int run_session_inside() {
  try {
    MpiSession session;
    fail(session.world(), "unwind");
  } catch (const std::exception& error) {
    report(error);
  }
  return 1;
}

int run(const std::string& how) {
  alarm(50);  // a hang leaves no process behind; the test has given up by then
  if (how == "unwind") return run_session_inside();
  MpiSession session;
  try {
    if (how.starts_with("stop_")) stop_watched(session.world(), std::stoi(how.substr(5)));
    fail(session.world(), how);
  } catch (const std::exception& error) {
    report(error);
    session.abort(1);
  }
  return 0;
}

}  // namespace
}  // namespace trireme::runtime

int main(int argc, char** argv) {
  return trireme::runtime::run(argc > 1 ? argv[1] : "");
}
