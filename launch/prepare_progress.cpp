#include "launch/prepare_progress.h"

#include <cstdio>

#include "launch/number_text.h"

namespace trireme::launch {
namespace {

constexpr double kLineSeconds = 10;

const char* words(data::PreparePhase phase) {
  switch (phase) {
    case data::PreparePhase::survey:
      return "reading text";
    case data::PreparePhase::learn:
      return "learning tokenizer";
    case data::PreparePhase::write:
      return "writing tokens";
  }
  return "";
}

}  // namespace

std::string prepare_text(const data::PrepareProgress& progress, int64_t recent_bytes, double seconds) {
  const double part =
      progress.total_bytes > 0 ? static_cast<double>(progress.bytes) / static_cast<double>(progress.total_bytes) : 1;
  std::string text = std::string(words(progress.phase)) + "  " + fixed_text(100 * part, 0) + "%  " +
                     bytes_text(progress.bytes) + " of " + bytes_text(progress.total_bytes);
  const double rate = seconds > 0 ? static_cast<double>(recent_bytes) / seconds : 0;
  if (rate <= 0) return text;
  text += "  " + rate_text(rate, "B");
  if (part < 1) {
    text += "  " + duration_text(static_cast<double>(progress.total_bytes - progress.bytes) / rate) + " left";
  }
  return text;
}

PrepareLine::~PrepareLine() {
  if (drawn_) std::fputs("\r\x1b[K", stderr);
}

void PrepareLine::show(const data::PrepareProgress& progress) {
  if (progress.phase != phase_) {
    phase_ = progress.phase;
    phase_watch_ = {};
    first_bytes_ = progress.bytes;
    last_line_seconds_ = 0;
  }
  const double seconds = phase_watch_.seconds();
  const auto text = [&] { return prepare_text(progress, progress.bytes - first_bytes_, seconds); };
  if (live_) {
    std::fprintf(stderr, "\r%s\x1b[K", text().c_str());
    std::fflush(stderr);
    drawn_ = true;
  } else if (seconds - last_line_seconds_ >= kLineSeconds) {
    last_line_seconds_ = seconds;
    std::fprintf(stderr, "%s\n", text().c_str());
  }
}

}  // namespace trireme::launch
