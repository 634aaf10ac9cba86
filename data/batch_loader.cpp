#include "data/batch_loader.h"

#include <algorithm>
#include <chrono>

#include "data/document_mask.h"
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
void shape(Microbatch& batch, int64_t rows, int64_t sequence_length, bool document_mask) {
  batch.tokens.resize(static_cast<size_t>(rows * sequence_length));
  batch.targets.resize(batch.tokens.size());
  batch.samples.resize(static_cast<size_t>(rows));
  if (!document_mask) return;
  batch.positions.resize(batch.tokens.size());
  batch.first_keys.resize(batch.tokens.size());
}

std::span<int32_t> row_of(std::vector<int32_t>& values, int64_t row, int64_t sequence_length) {
  return std::span(values).subspan(static_cast<size_t>(row * sequence_length), static_cast<size_t>(sequence_length));
}

void mask_row(Microbatch& batch, int64_t row, int64_t sequence_length, int32_t end_of_text) {
  mark_documents(row_of(batch.tokens, row, sequence_length), end_of_text,
                 {.positions = row_of(batch.positions, row, sequence_length),
                  .first_keys = row_of(batch.first_keys, row, sequence_length),
                  .targets = row_of(batch.targets, row, sequence_length)});
}

double monotonic_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

}  // namespace

TrainingLoader::TrainingLoader(std::span<const TokenDataset> datasets, const LoaderOptions& options)
    : options_((check_options(options), options)), samples_(datasets, options.sequence_length, options.order) {
  const int64_t T = options.sequence_length;
  window_.resize(static_cast<size_t>(T + 1));
  const int64_t microbatches = options.global_batch_size / (options.ranks * options.microbatch_size);
  for (std::vector<Microbatch>& step : steps_) {
    step.resize(static_cast<size_t>(microbatches));
    for (Microbatch& batch : step) shape(batch, options.microbatch_size, T, options.document_mask);
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
  int64_t sample = first_sample + options_.rank * (options_.global_batch_size / options_.ranks);
  for (Microbatch& batch : step) {
    for (int64_t row = 0; row < options_.microbatch_size; ++row, ++sample) {
      const auto [source, window] = samples_.at(sample);
      const TokenDataset& dataset = samples_.dataset(source);
      dataset.read(window * T, window_);
      std::copy_n(window_.begin(), T, batch.tokens.begin() + row * T);
      std::copy_n(window_.begin() + 1, T, batch.targets.begin() + row * T);
      batch.samples[static_cast<size_t>(row)] = sample;
      if (options_.document_mask) mask_row(batch, row, T, dataset.end_of_text());
    }
  }
}

ValidationLoader::ValidationLoader(std::span<const TokenDataset> datasets, const ValidationOptions& options)
    : datasets_(datasets), options_(options) {
  check_positive("the sequence length", options.sequence_length);
  check_positive("the microbatch size", options.microbatch_size);
  check_rank(options.rank, options.ranks);
  for (const TokenDataset& dataset : datasets) {
    if (dataset.tokens() < 2) {
      throw Error(ErrorKind::data, dataset.name() + " has " + std::to_string(dataset.tokens()) +
                                       " token, and a loss needs two: give more text");
    }
    const int64_t windows = (dataset.tokens() - 1 + options.sequence_length - 1) / options.sequence_length;
    begins_.push_back(begins_.back() + windows);
  }
  const int64_t rows = options.microbatch_size * options.ranks;
  batches_ = (begins_.back() + rows - 1) / rows;
}

bool ValidationLoader::next(Microbatch& batch) {
  if (batch_ == batches_) return false;
  const int64_t B = options_.microbatch_size;
  shape(batch, B, options_.sequence_length, options_.document_mask);
  const int64_t first_window = (batch_ * options_.ranks + options_.rank) * B;
  for (int64_t row = 0; row < B; ++row) fill_row(batch, row, first_window + row);
  ++batch_;
  return true;
}

void ValidationLoader::fill_row(Microbatch& batch, int64_t row, int64_t window) const {
  const int64_t T = options_.sequence_length;
  const std::span tokens = row_of(batch.tokens, row, T);
  const std::span targets = row_of(batch.targets, row, T);
  std::ranges::fill(tokens, 0);
  std::ranges::fill(targets, -1);
  const bool is_padding = window >= begins_.back();
  batch.samples[static_cast<size_t>(row)] = is_padding ? -1 : window;
  const auto split =
      is_padding ? 0 : static_cast<size_t>(std::ranges::upper_bound(begins_, window) - begins_.begin() - 1);
  const TokenDataset& dataset = datasets_[split];
  if (!is_padding) {
    const int64_t begin = (window - begins_[split]) * T;
    const auto count = static_cast<size_t>(std::min(T, dataset.tokens() - 1 - begin));
    dataset.read(begin, tokens.first(count));
    dataset.read(begin + 1, targets.first(count));
  }
  if (options_.document_mask) mask_row(batch, row, T, dataset.end_of_text());
}

}  // namespace trireme::data
