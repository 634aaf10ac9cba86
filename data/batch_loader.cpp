#include "data/batch_loader.h"

#include <algorithm>
#include <chrono>

#include "data/sample_order.h"
#include "runtime/error.h"

namespace trireme::data {

using runtime::Error;
using runtime::ErrorKind;

namespace {

// These checks are for callers in the program: `launch` has refused such options before, with the user's words.

void check_positive(const char* what, int64_t value) {
  if (value < 1) throw Error(ErrorKind::internal, std::string(what) + " is " + std::to_string(value));
}

void check_rank(int64_t rank, int64_t ranks) {
  if (ranks < 1 || rank < 0 || rank >= ranks) {
    throw Error(ErrorKind::internal, "no rank " + std::to_string(rank) + " among " + std::to_string(ranks));
  }
}

void check_options(const LoaderOptions& options) {
  check_positive("the sequence length", options.sequence_length);
  check_positive("the global batch size", options.global_batch_size);
  check_positive("the microbatch size", options.microbatch_size);
  check_rank(options.rank, options.ranks);
  if (options.first_sample < 0) throw Error(ErrorKind::internal, "the first sample must not be negative");
  if (options.global_batch_size % (options.ranks * options.microbatch_size) != 0) {
    throw Error(ErrorKind::internal, "a global batch of " + std::to_string(options.global_batch_size) +
                                         " does not divide into microbatches of " +
                                         std::to_string(options.microbatch_size) + " for " +
                                         std::to_string(options.ranks) + " ranks");
  }
}

/// B rows of T of the given microbatch; the memory stays when the shape does.
void shape(Microbatch& batch, int64_t rows, int64_t sequence_length) {
  batch.tokens.resize(static_cast<size_t>(rows * sequence_length));
  batch.targets.resize(batch.tokens.size());
  batch.samples.resize(static_cast<size_t>(rows));
}

double monotonic_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

TrainingLoader::TrainingLoader(const TokenDataset& dataset, const LoaderOptions& options)
    : dataset_(dataset), options_(options) {
  check_options(options);
  const int64_t T = options.sequence_length;
  if (dataset.tokens() < T + 1) {
    throw Error(ErrorKind::internal, dataset.name() + " has " + std::to_string(dataset.tokens()) +
                                         " tokens, and a sequence with its last target takes " + std::to_string(T + 1));
  }
  window_.resize(static_cast<size_t>(T + 1));
  const int64_t microbatches = options.global_batch_size / (options.ranks * options.microbatch_size);
  for (std::vector<Microbatch>& step : steps_) {
    step.resize(static_cast<size_t>(microbatches));
    for (Microbatch& batch : step) shape(batch, options.microbatch_size, T);
  }
  thread_ = std::thread([this] { prefetch(); });
}

TrainingLoader::~TrainingLoader() {
  {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

const std::vector<Microbatch>& TrainingLoader::next() {
  std::unique_lock lock(mutex_);
  returned_ = given_;
  changed_.notify_all();
  const auto is_ready = [this] { return filled_ > given_ || failure_ != nullptr; };
  if (!is_ready()) {
    const double begin = monotonic_seconds();
    changed_.wait(lock, is_ready);
    waited_seconds_ += monotonic_seconds() - begin;
  }
  if (filled_ == given_) std::rethrow_exception(failure_);
  return steps_[static_cast<size_t>(given_++ % 2)];
}

void TrainingLoader::prefetch() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [this] { return is_stopping_ || filled_ < returned_ + 2; });
    if (is_stopping_) return;
    const int64_t step = filled_;
    lock.unlock();
    std::exception_ptr failure;
    try {
      fill(steps_[static_cast<size_t>(step % 2)], options_.first_sample + step * options_.global_batch_size);
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    failure_ = failure;
    if (failure == nullptr) ++filled_;
    changed_.notify_all();
    if (failure != nullptr) return;
  }
}

void TrainingLoader::fill(std::vector<Microbatch>& step, int64_t first_sample) {
  const int64_t T = options_.sequence_length;
  const int64_t windows = dataset_.windows(T);
  int64_t sample = first_sample + options_.rank * (options_.global_batch_size / options_.ranks);
  for (Microbatch& batch : step) {
    for (int64_t row = 0; row < options_.microbatch_size; ++row, ++sample) {
      dataset_.read(window_of_sample(sample, windows, options_.seed) * T, window_);
      std::copy_n(window_.begin(), T, batch.tokens.begin() + row * T);
      std::copy_n(window_.begin() + 1, T, batch.targets.begin() + row * T);
      batch.samples[static_cast<size_t>(row)] = sample;
    }
  }
}

ValidationLoader::ValidationLoader(const TokenDataset& dataset, int64_t sequence_length, int64_t microbatch_size,
                                   int rank, int ranks)
    : dataset_(dataset),
      sequence_length_(sequence_length),
      microbatch_size_(microbatch_size),
      rank_(rank),
      ranks_(ranks) {
  check_positive("the sequence length", sequence_length);
  check_positive("the microbatch size", microbatch_size);
  check_rank(rank, ranks);
  if (dataset.tokens() < 2) {
    throw Error(ErrorKind::data, dataset.name() + " has " + std::to_string(dataset.tokens()) +
                                     " token, and a loss needs two: give more text");
  }
  windows_ = (dataset.tokens() - 1 + sequence_length - 1) / sequence_length;
  const int64_t rows = microbatch_size * ranks;
  batches_ = (windows_ + rows - 1) / rows;
}

bool ValidationLoader::next(Microbatch& batch) {
  if (batch_ == batches_) return false;
  shape(batch, microbatch_size_, sequence_length_);
  const int64_t first_window = (batch_ * ranks_ + rank_) * microbatch_size_;
  for (int64_t row = 0; row < microbatch_size_; ++row) fill_row(batch, row, first_window + row);
  ++batch_;
  return true;
}

void ValidationLoader::fill_row(Microbatch& batch, int64_t row, int64_t window) const {
  const int64_t T = sequence_length_;
  const std::span tokens = std::span(batch.tokens).subspan(static_cast<size_t>(row * T), static_cast<size_t>(T));
  const std::span targets = std::span(batch.targets).subspan(static_cast<size_t>(row * T), static_cast<size_t>(T));
  std::ranges::fill(tokens, 0);
  std::ranges::fill(targets, -1);
  batch.samples[static_cast<size_t>(row)] = window < windows_ ? window : -1;
  if (window >= windows_) return;
  const int64_t begin = window * T;
  const auto count = static_cast<size_t>(std::min(T, dataset_.tokens() - 1 - begin));
  dataset_.read(begin, tokens.first(count));
  dataset_.read(begin + 1, targets.first(count));
}

}  // namespace trireme::data
