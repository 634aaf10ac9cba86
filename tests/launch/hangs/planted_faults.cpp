// Linked into the program in place of MessageEngine::start (ld --wrap): one rank does what no rank may do, at one call.
// And in place of fsync: TRIREME_TEST_SYNC_SECONDS=1.5 makes a disk slow.
//   TRIREME_TEST_FAULT="RANK GROUP OP POSITION FAULT"
// world rank RANK, about to begin its POSITION-th call (from 0) of OP on GROUP ("dp all_reduce"), does FAULT:
//   skip   leaves the call out
//   other  makes a barrier instead
//   sleep  does not come back from what it does outside of any call
//   busy   computes for TRIREME_TEST_BUSY_SECONDS before it, and before all later ones of that kind
// and says so: "planted fault: rank 2 skip".
#include <time.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <thread>

#include "runtime/message_engine.h"

namespace {

using namespace trireme::runtime;

struct Fault {
  int rank = -1;
  std::string group;
  std::string op;
  int64_t position = 0;
  std::string what;
};

Fault fault_of_environment() {
  Fault fault;
  if (const char* text = std::getenv("TRIREME_TEST_FAULT")) {
    std::istringstream(text) >> fault.rank >> fault.group >> fault.op >> fault.position >> fault.what;
  }
  return fault;
}

std::chrono::duration<double> time_of_environment(const char* name) {
  const char* text = std::getenv(name);
  return std::chrono::duration<double>(text == nullptr ? 0 : std::atof(text));
}

/// As on a slower processor: by the time that this thread computes, so that beside busy neighbours it is longer too.
void be_busy() {
  const auto computed = [] {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  };
  const auto end = computed() + time_of_environment("TRIREME_TEST_BUSY_SECONDS");
  while (computed() < end) continue;
}

/// "" while nothing is to go wrong.
std::string fault_at(int rank, const std::string& group, std::string_view op) {
  static const Fault fault = fault_of_environment();
  static int64_t calls = 0;
  if (rank != fault.rank || group != fault.group || op != fault.op) return {};
  const int64_t position = calls++;
  if (fault.what == "busy" && position > fault.position) return fault.what;  // it was said
  if (position != fault.position) return {};
  std::fprintf(stderr, "planted fault: rank %d %s\n", rank, fault.what.c_str());
  return fault.what;
}

}  // namespace

extern "C" {

Pending
real_start(MessageEngine* engine, MessageQueue& queue, std::shared_ptr<MessageGroup> group, const CollectiveCall& call, std::string_view op) asm(
    "__real__ZN7trireme7runtime13MessageEngine5startERNS0_12MessageQueueESt10"
    "shared_ptrINS0_12MessageGroupEERKNS0_14CollectiveCallESt17basic_string_"
    "viewIcSt11char_traitsIcEE");

Pending
planted_start(MessageEngine* engine, MessageQueue& queue, std::shared_ptr<MessageGroup> group, const CollectiveCall& call, std::string_view op) asm(
    "__wrap__ZN7trireme7runtime13MessageEngine5startERNS0_12MessageQueueESt"
    "10shared_ptrINS0_12MessageGroupEERKNS0_14CollectiveCallESt17basic_"
    "string_viewIcSt11char_traitsIcEE");

Pending planted_start(MessageEngine* engine, MessageQueue& queue, std::shared_ptr<MessageGroup> group,
                      const CollectiveCall& call, std::string_view op) {
  const std::string what = fault_at(engine->transport().rank(), group->ledger.group(), op);
  if (what == "skip") return {};
  if (what == "other") return real_start(engine, queue, std::move(group), {.op = CollectiveOp::barrier}, "barrier");
  while (what == "sleep") pause();  // signals are no reason to go on
  if (what == "busy") be_busy();
  return real_start(engine, queue, std::move(group), call, op);
}

int __real_fsync(int descriptor);
int __wrap_fsync(int descriptor) {
  std::this_thread::sleep_for(time_of_environment("TRIREME_TEST_SYNC_SECONDS"));
  return __real_fsync(descriptor);
}

}  // extern "C"
