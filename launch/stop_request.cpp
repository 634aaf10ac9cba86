#include "launch/stop_request.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <cstring>
#include <ctime>

namespace trireme::launch {
namespace {

// Handlers know nothing but what is global.
std::atomic<int> first_signal{0};                                          // 0: none
std::array<std::atomic<int64_t>, StopSignals::kSignals.size()> came_ms{};  // when each came first; 0: not yet
std::atomic<bool> is_over{false};                                          // see finish()
static_assert(std::atomic<int64_t>::is_always_lock_free && std::atomic<bool>::is_always_lock_free);

/// A literal: a handler may not allocate.
const char* literal_name(int signal) {
  if (signal == SIGUSR1) return "SIGUSR1";
  return signal == SIGTERM ? "SIGTERM" : "SIGINT";
}

/// In kSignals.
size_t index_of(int signal) {
  size_t index = 0;
  while (StopSignals::kSignals[index] != signal) ++index;
  return index;
}

/// Only async-signal-safe calls.
void note(int signal) {
  if (is_over) return;
  const int error = errno;
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  const int64_t now_ms = int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1'000'000;
  int none = 0;
  first_signal.compare_exchange_strong(none, signal);
  int64_t before_ms = 0;
  const bool is_first = came_ms[index_of(signal)].compare_exchange_strong(before_ms, now_ms);
  if (!is_first && now_ms - before_ms >= StopSignals::kEchoSeconds * 1000) {
    char line[64] = "trireme: ";
    std::strcat(line, literal_name(signal));
    std::strcat(line, ": the second one, ending at once\n");
    [[maybe_unused]] const ssize_t written = write(STDERR_FILENO, line, std::strlen(line));
    _exit(128 + signal);
  }
  errno = error;
}

}  // namespace

StopSignals::StopSignals() {
  first_signal = 0;
  for (std::atomic<int64_t>& time : came_ms) time = 0;
  is_over = false;
  struct sigaction action {};
  action.sa_handler = note;
  action.sa_flags = SA_RESTART;
  sigemptyset(&action.sa_mask);
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &action, &before_[i]);
}

StopSignals::~StopSignals() {
  if (is_over) return;
  for (size_t i = 0; i < kSignals.size(); ++i) sigaction(kSignals[i], &before_[i], nullptr);
}

int StopSignals::noted() {
  return first_signal;
}

void StopSignals::finish() {
  is_over = true;
}

std::string signal_name(int signal) {
  return signal == 0 ? "" : literal_name(signal);
}

}  // namespace trireme::launch
