#include "data/piece_pipeline.h"

#include <algorithm>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

namespace trireme::data {
namespace {

constexpr int64_t kBatchBytes = int64_t{1} << 20;
constexpr size_t kBatchPieces = 4096;

/// Fills batches from the files.
class BatchReader {
 public:
  BatchReader(runtime::Files& files, std::span<const TextFile> texts, const TextOptions& options,
              const PieceRange& range)
      : reader_(files, texts, options, range.first_source),
        batch_bytes_(std::min(kBatchBytes, options.piece_bytes)),
        skip_pieces_(range.skip_pieces),
        next_number_(range.first_number) {
    for (const TextFile& text : texts.first(static_cast<size_t>(range.first_source))) bytes_before_ += text.size_bytes;
  }

  /// False at the end.
  bool fill(PieceBatch& batch) {
    for (RawPiece skipped; skip_pieces_ > 0 && reader_.next(skipped); --skip_pieces_) {
    }
    batch.raw.clear();
    batch.first_number = next_number_;
    int64_t bytes = 0;
    while (bytes < batch_bytes_ && batch.raw.size() < kBatchPieces) {
      RawPiece piece;
      if (!reader_.next(piece)) break;
      bytes += std::ssize(piece.bytes);
      batch.raw.push_back(std::move(piece));
    }
    next_number_ += std::ssize(batch.raw);
    batch.bytes_read = bytes_before_ + reader_.bytes_read();
    return !batch.raw.empty();
  }

 private:
  DocumentReader reader_;
  int64_t batch_bytes_;
  int64_t skip_pieces_;
  int64_t next_number_;
  int64_t bytes_before_ = 0;  // of files before the first
};

void clean_batch(PieceBatch& batch, const TextOptions& options) {
  batch.pieces.clear();
  batch.ids.clear();
  for (RawPiece& raw : batch.raw) {
    CleanPiece& clean = batch.pieces.emplace_back();
    clean.piece = read_piece(raw, options, clean.fate);
    clean.hash = runtime::xxh3_128(std::as_bytes(std::span(clean.piece.text)));
    clean.number = batch.first_number + std::ssize(batch.pieces) - 1;
    raw.bytes = {};  // before the next one takes its memory
  }
}

/// A ring of batches. Batch n is in slot n % size; it is filled by the reader, worked on by the thread that takes it,
/// and consumed by the caller, in this order. An exception travels in its batch's slot, so that the first one in order
/// is the one that is told, whichever thread was faster.
class Ring {
 public:
  explicit Ring(size_t size) : slots_(size) {}

  /// On the reader's thread.
  void read(const std::function<bool(PieceBatch&)>& fill) {
    for (int64_t n = 0;; ++n) {
      Slot& slot = slot_of(n);
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return is_stopping_ || n - consumed_ < std::ssize(slots_); });
        if (is_stopping_) return;
      }
      bool is_batch = false;
      try {
        is_batch = fill(slot.batch);
      } catch (...) {
        slot.failure = std::current_exception();
      }
      const std::lock_guard lock(mutex_);
      slot.is_worked_on = !is_batch;  // nothing to do for the others
      filled_ = n + 1;
      if (!is_batch) end_ = slot.failure ? n + 1 : n;
      changed_.notify_all();
      if (!is_batch) return;
    }
  }

  /// On each working thread.
  void work(const std::function<void(PieceBatch&)>& act) {
    for (;;) {
      int64_t n = 0;
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return is_stopping_ || taken_ < std::min(filled_, end_) || taken_ >= end_; });
        if (is_stopping_ || taken_ >= end_) return;
        n = taken_++;
      }
      Slot& slot = slot_of(n);
      if (slot.is_worked_on) continue;  // the reader's failure
      try {
        act(slot.batch);
      } catch (...) {
        slot.failure = std::current_exception();
      }
      const std::lock_guard lock(mutex_);
      slot.is_worked_on = true;
      changed_.notify_all();
    }
  }

  /// On the caller's thread.
  void consume(const std::function<void(PieceBatch&)>& act) {
    for (;;) {
      Slot& slot = slot_of(consumed_);
      {
        std::unique_lock lock(mutex_);
        changed_.wait(lock, [&] { return consumed_ >= end_ || (consumed_ < filled_ && slot.is_worked_on); });
        if (consumed_ >= end_) return;
      }
      if (slot.failure) std::rethrow_exception(slot.failure);
      act(slot.batch);
      const std::lock_guard lock(mutex_);
      slot.is_worked_on = false;
      ++consumed_;
      changed_.notify_all();
    }
  }

  void stop() {
    const std::lock_guard lock(mutex_);
    is_stopping_ = true;
    changed_.notify_all();
  }

 private:
  struct Slot {
    PieceBatch batch;
    bool is_worked_on = false;
    std::exception_ptr failure;
  };
  Slot& slot_of(int64_t n) { return slots_[static_cast<size_t>(n) % slots_.size()]; }

  std::vector<Slot> slots_;
  std::mutex mutex_;  // over what follows and is_worked_on
  std::condition_variable changed_;
  int64_t filled_ = 0;       // batches read
  int64_t taken_ = 0;        // by working threads
  int64_t consumed_ = 0;     // written by the caller's thread alone
  int64_t end_ = INT64_MAX;  // how many batches there are; known when the reader has ended
  bool is_stopping_ = false;
};

}  // namespace

void for_each_batch(runtime::Files& files, std::span<const TextFile> texts, const TextOptions& options, int threads,
                    const PieceRange& range, const std::function<void(int thread, PieceBatch& batch)>& work,
                    const std::function<void(PieceBatch& batch)>& consume) {
  BatchReader reader(files, texts, options, range);
  const auto worker_count = static_cast<size_t>(std::max(threads, 1));
  Ring ring(2 * worker_count + 2);
  struct Threads {  // end before the ring, whatever happens
    Ring& ring;
    std::vector<std::jthread> all = {};
    ~Threads() { ring.stop(); }
  } running{.ring = ring};
  running.all.emplace_back([&] { ring.read([&](PieceBatch& batch) { return reader.fill(batch); }); });
  for (size_t thread = 0; thread < worker_count; ++thread) {
    running.all.emplace_back([&, thread] {
      ring.work([&](PieceBatch& batch) {
        clean_batch(batch, options);
        work(static_cast<int>(thread), batch);
      });
    });
  }
  ring.consume(consume);
}

}  // namespace trireme::data
