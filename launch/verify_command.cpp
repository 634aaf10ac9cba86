// trireme verify: is this layout right? Exit code 0: yes, 1: no.
#include <cstdio>

#include "launch/commands.h"
#include "launch/run_watch.h"
#include "launch/verification.h"
#include "launch/verify_report.h"
#include "runtime/error.h"
#include "runtime/threads.h"

namespace trireme::launch {

int run_verify(const VerifyOptions& options, runtime::Communicator& world) {
  runtime::use_threads(options.train.threads);
  RunWatch watch(runtime::real_files(), world, options.train);  // of no run: it leaves nothing behind
  int code = 0;
  try {
    const Verification verification = verify(options, world);
    if (world.rank() == 0) std::fputs(verify_report(verification).c_str(), stdout);
    code = verification.passed ? 0 : 1;
  } catch (const runtime::Error& error) {
    watch.look_at(error);
    throw;
  }
  std::fflush(stdout);  // before a launcher ends the job for the code of another rank
  watch.end();
  world.barrier().wait();
  return code;
}

}  // namespace trireme::launch
