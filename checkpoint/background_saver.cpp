#include "checkpoint/background_saver.h"

#include <algorithm>
#include <chrono>
#include <system_error>
#include <utility>
#include <vector>

#include "checkpoint/agreement.h"

namespace trireme::checkpoint {

using runtime::Error;
using runtime::ErrorKind;

namespace {

/// Training must not wait for room that a writer which failed will never make.
struct GiveUpAtExit {
  Snapshot& snapshot;
  ~GiveUpAtExit() { snapshot.give_up(); }
};

/// The largest of the numbers of seconds before the outcomes, which are left without them.
double take_slowest(std::vector<std::string>& outcomes) {
  double slowest = 0;
  for (std::string& outcome : outcomes) {
    slowest = std::max(slowest, std::stod(outcome));
    outcome.erase(0, outcome.find(' ') + 1);
  }
  return slowest;
}

std::future<std::string> ready(std::string outcome) {
  std::promise<std::string> promise;
  promise.set_value(std::move(outcome));
  return promise.get_future();
}

}  // namespace

BackgroundSaver::BackgroundSaver(runtime::Files& files, runtime::Communicator& world, runtime::Stream& stream,
                                 int64_t snapshot_bytes)
    : world_(world), stream_(stream), snapshot_(snapshot_bytes), steps_(files, world.rank()) {}

BackgroundSaver::~BackgroundSaver() {
  snapshot_.give_up();  // the thread may be waiting for pieces that will not come
  if (part_.valid()) part_.wait();
}

void BackgroundSaver::begin(SaveRequest request) {
  since_begin_ = {};
  busy_seconds_ = 0;
  steps_.begin(std::move(request));
  steps_.meet(
      runtime::all_gather_bytes(world_, outcome_of(steps_.part(snapshot_))));  // the preparation never ends a save
  snapshot_.reset();
  busy_seconds_ = since_begin_.seconds();
  start_part();
  if (steps_.takes_bytes()) snapshot_.copy_in(stream_, steps_.request().slices);
}

void BackgroundSaver::start_part() {
  const std::function<std::string()> part = steps_.part(snapshot_);
  if (!part) return;
  try {
    part_ = std::async(std::launch::async, [this, part] {
      const GiveUpAtExit gives_up{snapshot_};
      const runtime::Stopwatch watch;
      std::string outcome = outcome_of(part);
      part_seconds_ = watch.seconds();
      return outcome;
    });
  } catch (const std::system_error& error) {
    snapshot_.give_up();
    const std::string reason = std::string("no thread to save with: ") + error.what();
    part_ = ready(outcome_of([&]() -> std::string { throw Error(ErrorKind::device, reason); }));
  }
}

int64_t BackgroundSaver::vote() const {
  return !part_.valid() || part_.wait_for(std::chrono::seconds(0)) == std::future_status::ready ? 1 : 0;
}

std::optional<SaveEnd> BackgroundSaver::advance(int64_t votes) {
  if (!in_flight() || votes < world_.size()) return std::nullopt;
  return meet();
}

SaveEnd BackgroundSaver::finish() {
  for (;;) {
    if (std::optional<SaveEnd> end = meet()) return *end;
  }
}

std::optional<SaveEnd> BackgroundSaver::meet() {
  const std::string mine = part_.valid() ? part_.get() : outcome_of([] { return std::string(); });
  std::vector<std::string> outcomes =
      runtime::all_gather_bytes(world_, std::to_string(std::exchange(part_seconds_, 0)) + " " + mine);
  busy_seconds_ += take_slowest(outcomes);
  std::optional<SaveEnd> end = steps_.meet(outcomes);
  if (end) {
    end->seconds = since_begin_.seconds();
    end->busy_seconds = busy_seconds_;
  } else {
    start_part();
  }
  return end;
}

}  // namespace trireme::checkpoint
