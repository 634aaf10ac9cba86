#include "runtime/log.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdint>

namespace trireme::runtime {
namespace {

// Rank and world size in one word, so that a reader never sees half of a change. Threads log, hence atomic;
// process-wide because standard error is.
std::atomic<uint64_t> rank_and_size{1};

void write_line(LogLevel level, std::string_view message) {
  static const bool terminal = isatty(STDERR_FILENO) == 1;
  const uint64_t word = rank_and_size.load(std::memory_order_relaxed);
  std::string line = log_line(level, message, static_cast<int>(word >> 32), static_cast<int>(word & 0xffffffffu));
  if (terminal) line.insert(0, "\r\x1b[K");  // wipes a progress line that stands there
  line += '\n';
  std::string_view rest = line;
  while (!rest.empty()) {  // one write in practice; a message that cannot be written has nowhere else to go
    const ssize_t written = write(STDERR_FILENO, rest.data(), rest.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;
    rest.remove_prefix(static_cast<size_t>(written));
  }
}

}  // namespace

void set_log_rank(int rank, int world_size) {
  rank_and_size.store(static_cast<uint64_t>(rank) << 32 | static_cast<uint32_t>(world_size), std::memory_order_relaxed);
}

void log_info(std::string_view message) {
  write_line(LogLevel::info, message);
}

void log_warning(std::string_view message) {
  write_line(LogLevel::warning, message);
}

void log_error(std::string_view message) {
  write_line(LogLevel::error, message);
}

std::string log_line(LogLevel level, std::string_view message, int rank, int world_size) {
  std::string line = "trireme";
  if (world_size > 1) line += "[" + std::to_string(rank) + "]";
  line += ": ";
  if (level == LogLevel::warning) line += "warning: ";
  if (level == LogLevel::error) line += "error: ";
  const size_t begin = line.size();
  line += message;
  std::replace_if(
      line.begin() + static_cast<std::ptrdiff_t>(begin), line.end(), [](char c) { return c == '\n' || c == '\r'; },
      ' ');
  return line;
}

}  // namespace trireme::runtime
