#include "launch/progress_line.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>

#include "launch/number_text.h"

namespace trireme::launch {
namespace {

constexpr int kBarCells = 20;
constexpr auto kRedraw = std::chrono::milliseconds(100);

std::string rounded(const char* format, double value) {
  std::array<char, 64> buffer{};
  std::snprintf(buffer.data(), buffer.size(), format, value);
  return buffer.data();
}

std::string place(int64_t step, int64_t steps) {
  return std::to_string(step) + "/" + std::to_string(steps);
}

std::string speed(double tokens_per_second) {
  if (!std::isfinite(tokens_per_second)) return "? tokens/s";
  if (tokens_per_second < 10) return rounded("%.1f", tokens_per_second) + " tokens/s";
  return grouped(std::llround(tokens_per_second)) + " tokens/s";
}

std::string left(int64_t step, int64_t steps, double seconds_left) {
  return step < steps ? "  " + duration_text(seconds_left) + " left" : "";
}

std::string skipped_text(const StepRecord& record) {
  switch (record.verdict) {
    case runtime::UpdateVerdict::made:
      return "";
    case runtime::UpdateVerdict::not_finite:
      return "  skipped: not finite";
    case runtime::UpdateVerdict::outlier_loss:
      return "  skipped: outlier loss";
    case runtime::UpdateVerdict::outlier_grad_norm:
      return "  skipped: outlier norm";
  }
  return "";
}

int terminal_columns() {
  winsize size{};
  return ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

}  // namespace

std::string plain_text(const StepRecord& record, int64_t steps, double seconds_left) {
  std::string text = "step " + place(record.step, steps) + "  loss " + rounded("%.4f", record.loss) + "  lr " +
                     rounded("%.3g", record.learning_rate) + "  norm " + rounded("%.3g", record.grad_norm) + "  " +
                     speed(record.tokens_per_second) + left(record.step, steps, seconds_left);
  text += skipped_text(record);
  return text;
}

std::string live_text(const StepRecord& record, int64_t steps, double seconds_left, int columns) {
  const double part =
      steps > 0 ? std::clamp(static_cast<double>(record.step) / static_cast<double>(steps), 0.0, 1.0) : 0;
  const int filled = static_cast<int>(part * kBarCells);
  std::string text = "[" + std::string(static_cast<size_t>(filled), '#') +
                     std::string(static_cast<size_t>(kBarCells - filled), '.') + "] " + rounded("%3.0f", 100 * part) +
                     "% " + place(record.step, steps) + "  loss " + rounded("%.4f", record.loss) + "  " +
                     speed(record.tokens_per_second) + left(record.step, steps, seconds_left);
  text += skipped_text(record);
  // One column stays free: a full line would wrap and could not be wiped.
  return text.substr(0, static_cast<size_t>(std::max(1, columns - 1)));
}

std::string validation_text(int64_t step, int64_t steps, double loss) {
  return "step " + place(step, steps) + "  validation loss " + rounded("%.4f", loss);
}

ProgressLine::ProgressLine(int64_t steps, bool live) : steps_(steps), live_(live) {}

ProgressLine::~ProgressLine() {
  if (drawn_) write("\n");
}

bool ProgressLine::on_terminal() {
  return isatty(STDERR_FILENO) == 1;
}

void ProgressLine::step(const StepRecord& record, bool logged) {
  const double weight = mean_step_seconds_ > 0 ? 0.1 : 1.0;
  mean_step_seconds_ += weight * (record.step_seconds - mean_step_seconds_);
  const double seconds_left = mean_step_seconds_ * static_cast<double>(steps_ - record.step);
  if (!live_) {
    if (logged) write(plain_text(record, steps_, seconds_left) + "\n");
    return;
  }
  const auto now = std::chrono::steady_clock::now();
  if (drawn_ && record.step < steps_ && now - last_drawn_ < kRedraw) return;
  write("\r\x1b[K" + live_text(record, steps_, seconds_left, terminal_columns()));
  drawn_ = true;
  last_drawn_ = now;
}

void ProgressLine::validation(int64_t step, double loss) {
  write((drawn_ ? "\r\x1b[K" : "") + validation_text(step, steps_, loss) + "\n");
  drawn_ = false;  // the live line is drawn anew below
}

void ProgressLine::write(const std::string& text) const {
  // In one piece, as the log does; a progress line that cannot be written is no reason to stop training.
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, text.data(), text.size());
}

}  // namespace trireme::launch
