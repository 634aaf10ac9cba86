// Messages for people on standard error: one line each, written in one piece, so that lines of threads and of ranks do
// not mix. Lines name the rank when there are several. What a training run measures goes to log.jsonl, not here.
#pragma once

#include <string>
#include <string_view>

namespace trireme::runtime {

enum class LogLevel { info, warning, error };

/// Said once after start; from then on lines carry the rank when world_size > 1. Thread-safe, as all of this file.
void set_log_rank(int rank, int world_size);

/// "trireme: message"
void log_info(std::string_view message);
/// "trireme: warning: message"
void log_warning(std::string_view message);
/// "trireme: error: message"
void log_error(std::string_view message);

/// The line without its end: "trireme[1]: warning: message"; line breaks in the message become spaces.
std::string log_line(LogLevel level, std::string_view message, int rank, int world_size);

}  // namespace trireme::runtime
