#include "runtime/watchdog_thread.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <future>
#include <memory>
#include <system_error>
#include <utility>

#include "runtime/error.h"
#include "runtime/log.h"

namespace trireme::runtime {
namespace {

using namespace std::chrono_literals;

constexpr auto kConnectingRound = 5ms;
constexpr auto kNotePatience = 3s;

/// In this thread, while it lives; a thread that is started meanwhile begins so.
class SignalsBlocked {
 public:
  SignalsBlocked() {
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before_);
  }
  ~SignalsBlocked() { pthread_sigmask(SIG_SETMASK, &before_, nullptr); }
  SignalsBlocked(const SignalsBlocked&) = delete;
  SignalsBlocked& operator=(const SignalsBlocked&) = delete;

 private:
  sigset_t before_{};
};

/// Does it in a thread that may never come back; the future knows when it has.
std::future<void> in_background(std::function<void()> work) {
  const auto done = std::make_shared<std::promise<void>>();  // shared with that thread
  std::thread([done, work = std::move(work)] {
    work();
    done->set_value();
  }).detach();
  return done->get_future();
}

WatchdogThread::Clock::duration beat_interval(double limit_seconds) {
  const std::chrono::duration<double> interval(std::clamp(limit_seconds / 20, 0.05, 1.0));
  return std::chrono::duration_cast<WatchdogThread::Clock::duration>(interval);
}

}  // namespace

WatchdogThread::WatchdogThread(const WatchdogPlace& place, const WatchdogOptions& options)
    : place_(place),
      options_(options),
      interval_(beat_interval(options.limit_seconds)),
      wake_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
  if (!wake_.valid()) throw Error(ErrorKind::io, "watchdog: no event descriptor: " + system_message(errno));
}

void WatchdogThread::start() {
  const SignalsBlocked blocked;  // they are the training thread's
  try {
    thread_ = std::thread([this] { run(); });
  } catch (const std::system_error& error) {
    throw Error(ErrorKind::device, std::string("watchdog: no thread: ") + error.what());
  }
}

void WatchdogThread::stop(bool in_order) {
  if (!thread_.joinable()) return;
  {
    std::lock_guard lock(mutex_);
    stop_ = true;
    in_order_ = in_order;
  }
  eventfd_write(wake_.number(), 1);
  thread_.join();
}

void WatchdogThread::disagree(const std::string& message) {
  std::unique_lock lock(mutex_);
  disagreement_ = message;
  std::ranges::replace(disagreement_, '\n', ' ');
  ended_changed_.wait(lock, [this] { return ended_; });
}

std::string WatchdogThread::disagreement() const {
  std::lock_guard lock(mutex_);
  return disagreement_;
}

void WatchdogThread::run() {
  try {
    rounds();
  } catch (const std::exception& error) {
    log_warning("this rank's watchdog has ended: " + std::string(error.what()));
    part();
  }
  give_up();
}

void WatchdogThread::give_up() {
  std::lock_guard lock(mutex_);
  ended_ = true;
  ended_changed_.notify_all();
}

void WatchdogThread::rounds() {
  // Nothing is urgent: what came meanwhile is read in one go, so that rank 0 is not woken by every beat of 1,024 ranks.
  const auto most_lost = std::chrono::duration<double>(options_.limit_seconds / 4);
  Clock::time_point last = Clock::now();
  Clock::time_point next_beat = last;
  while (true) {
    wait_for_next_round();
    const Clock::time_point now = Clock::now();
    if (now - last > interval_ + most_lost) forgive(now - last);
    last = now;
    attend(now);
    {
      std::lock_guard lock(mutex_);
      if (stop_) break;
    }
    if (now < next_beat) continue;
    beat(now);
    next_beat = now + interval_;
  }
  if (in_order_) part();
}

void WatchdogThread::wait_for_next_round() {
  const Clock::duration pause =
      connecting_ ? std::min<Clock::duration>(kConnectingRound, interval_ / 4) : interval_ / 4;
  pollfd polled{.fd = wake_.number(), .events = POLLIN};
  if (poll(&polled, 1, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(pause).count())) <= 0) return;
  eventfd_t count = 0;
  eventfd_read(wake_.number(), &count);
}

void WatchdogThread::conclude(const WatchdogVerdict& verdict) {
  const Clock::time_point patience = Clock::now() + kNotePatience;
  const std::future<void> said = in_background([verdict] { log_error(verdict.reason); });
  const std::future<void> noted = in_background([verdict, record = options_.record] {
    try {
      if (record) record(verdict);
    } catch (const std::exception& error) {
      log_error("no note of this is left: " + std::string(error.what()));
    }
  });
  said.wait_until(patience);  // a terminal may be held, a disk be dead
  noted.wait_until(patience);
  tell_end();
  _exit(kWatchdogExit);  // what the training thread has in its hands is lost, as in any crash
}

}  // namespace trireme::runtime
