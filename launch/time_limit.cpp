#include "launch/time_limit.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <sstream>
#include <vector>

#include "launch/number_text.h"

namespace trireme::launch {
namespace {

constexpr double kMinute = 60;
constexpr double kHour = 3600;
constexpr double kDay = 86400;

/// A number that is all of `text`.
template <typename Number>
std::optional<Number> number_of(std::string_view text) {
  Number value{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (!(value >= 0)) return std::nullopt;
  return value;
}

std::optional<double> bounded(double seconds) {
  return seconds <= kMostSeconds ? std::optional(seconds) : std::nullopt;
}

/// "[D-]HH:MM:SS" and "MM:SS".
std::optional<double> parse_colons(std::string_view text) {
  double days = 0;
  const size_t dash = text.find('-');
  if (dash != std::string_view::npos) {
    const std::optional<int64_t> number = number_of<int64_t>(text.substr(0, dash));
    if (!number) return std::nullopt;
    days = static_cast<double>(*number);
    text.remove_prefix(dash + 1);
  }
  std::vector<double> fields;
  while (true) {
    const size_t colon = std::min(text.find(':'), text.size());
    const std::optional<int64_t> number = number_of<int64_t>(text.substr(0, colon));
    if (!number) return std::nullopt;
    fields.push_back(static_cast<double>(*number));
    if (colon == text.size()) break;
    text.remove_prefix(colon + 1);
  }
  if (fields.size() != 3 && !(fields.size() == 2 && dash == std::string_view::npos)) return std::nullopt;
  double seconds = 0;
  for (const double field : fields) seconds = seconds * 60 + field;
  return bounded(days * kDay + seconds);
}

double system_seconds() {
  return std::chrono::duration<double>(std::chrono::system_clock::now().time_since_epoch()).count();
}

/// Since this process began: before MPI, and before the restart of program_start.h. proc(5): starttime, the 22nd field
/// of /proc/self/stat, in clock ticks after the boot; the second field may hold blanks and ends with the last ")".
double process_age_seconds() {
  std::ifstream file("/proc/self/stat");
  std::string text;
  std::getline(file, text);
  std::istringstream fields(text.substr(text.rfind(')') + 1));
  std::string word;
  for (int field = 3; field <= 22; ++field) fields >> word;
  const std::optional<double> ticks = number_of<double>(word);
  timespec boot{};
  if (!ticks || clock_gettime(CLOCK_BOOTTIME, &boot) != 0) return 0;
  const double age =
      static_cast<double>(boot.tv_sec) + 1e-9 * static_cast<double>(boot.tv_nsec) - *ticks / sysconf(_SC_CLK_TCK);
  return std::max(0.0, age);
}

/// "" where it is not set, or no whole number: it becomes part of a command.
std::string job_number(const char* variable) {
  const char* text = std::getenv(variable);
  return text != nullptr && number_of<int64_t>(text) ? text : "";
}

/// What squeue says is left of this job: Slurm 22.05 sets no SLURM_JOB_END_TIME. Nothing for a job without a limit, or
/// when squeue is not there, does not answer in 5 s or does not know the job.
std::optional<double> ask_squeue() {
  std::string job = job_number("SLURM_JOB_ID");
  // The last task of an array has the array's own number, under which squeue lists all tasks.
  const std::string array = job_number("SLURM_ARRAY_JOB_ID");
  const std::string task = job_number("SLURM_ARRAY_TASK_ID");
  if (!array.empty() && !task.empty()) job = array + "_" + task;
  if (job.empty()) return std::nullopt;
  const std::string command = "timeout -k 1 5 squeue -h --jobs=" + job + " -o %L 2>/dev/null";
  FILE* pipe = popen(command.c_str(), "r");
  if (pipe == nullptr) return std::nullopt;
  std::array<char, 64> buffer{};
  const bool has_line = std::fgets(buffer.data(), buffer.size(), pipe) != nullptr;
  pclose(pipe);
  if (!has_line) return std::nullopt;
  std::string word;  // "1-02:03:04", or UNLIMITED, NOT_SET, INVALID
  std::istringstream(buffer.data()) >> word;
  return parse_duration(word);
}

std::optional<TimeLimit> limit_of_slurm() {
  const char* job = std::getenv("SLURM_JOB_ID");
  const std::string name = std::string("time limit of Slurm job ") + (job == nullptr ? "" : job);
  if (const char* end = std::getenv("SLURM_JOB_END_TIME")) {  // Unix seconds
    const std::optional<double> end_seconds = number_of<double>(end);
    const std::optional<double> left = end_seconds ? bounded(*end_seconds - system_seconds()) : std::nullopt;
    if (left) return TimeLimit{steady_seconds() + *left, name};
  }
  const std::optional<double> left = ask_squeue();
  if (!left) return std::nullopt;
  return TimeLimit{steady_seconds() + *left, name};
}

std::string clock_text(double seconds_from_now) {
  const auto time = static_cast<std::time_t>(system_seconds() + seconds_from_now);
  std::tm local{};
  localtime_r(&time, &local);
  std::array<char, 32> buffer{};
  std::strftime(buffer.data(), buffer.size(), seconds_from_now < kDay / 2 ? "%H:%M:%S" : "%F %H:%M:%S", &local);
  return buffer.data();
}

}  // namespace

std::optional<double> parse_duration(std::string_view text) {
  if (text.find(':') != std::string_view::npos) return parse_colons(text);
  double unit = 1;
  if (text.ends_with('m')) unit = kMinute;
  if (text.ends_with('h')) unit = kHour;
  if (text.ends_with('d')) unit = kDay;
  if (unit > 1 || text.ends_with('s')) text.remove_suffix(1);
  const std::optional<double> number = number_of<double>(text);
  return number ? bounded(*number * unit) : std::nullopt;
}

std::string limit_text(double seconds) {
  if (seconds < 10) return fixed_text(seconds, 1) + " s";
  return seconds < kMinute ? fixed_text(seconds, 0) + " s" : duration_text(seconds);
}

double steady_seconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

std::optional<TimeLimit> find_time_limit(std::optional<double> asked_seconds) {
  std::optional<TimeLimit> limit = limit_of_slurm();
  if (!asked_seconds) return limit;
  const TimeLimit asked{steady_seconds() - process_age_seconds() + *asked_seconds,
                        "time limit of " + limit_text(*asked_seconds) + " (--time-limit)"};
  return limit && limit->end_seconds < asked.end_seconds ? limit : asked;
}

double estimated_save_seconds(int64_t bytes) {
  return static_cast<double>(bytes) / 100e6 + 1;
}

void TimeBudget::add(std::deque<double>& recent, double seconds) {
  recent.push_back(seconds);
  if (recent.size() > kRecent) recent.pop_front();
}

void TimeBudget::end_step(double now_seconds) {
  add(steps_, now_seconds - *step_began_);
  step_began_.reset();
}

void TimeBudget::add_save(double seconds) {
  add(saves_, seconds);
}

double TimeBudget::save_seconds() const {
  return saves_.empty() ? estimated_save_seconds_ : *std::ranges::max_element(saves_);
}

double TimeBudget::left(double now_seconds) const {
  return limit_.end_seconds - now_seconds;
}

bool TimeBudget::must_stop(double now_seconds, int saves) const {
  double step_seconds = step_began_ ? now_seconds - *step_began_ : 0;
  if (!steps_.empty()) step_seconds = std::max(step_seconds, *std::ranges::max_element(steps_));
  return left(now_seconds) < 1.5 * (2 * step_seconds + saves * save_seconds()) + kLeaveSeconds;
}

bool TimeBudget::may_save(double now_seconds) const {
  return saves_.empty() || left(now_seconds) >= save_seconds();
}

std::string TimeBudget::text(double now_seconds) const {
  return limit_.name + ": " + limit_text(std::max(0.0, left(now_seconds))) + " left, a save takes " +
         limit_text(save_seconds()) + (saves_.empty() ? " by an estimate" : "");
}

std::string TimeBudget::start_text(double now_seconds) const {
  return "ends by itself before " + clock_text(left(now_seconds)) + ": " + limit_.name + "; a save is taken for " +
         limit_text(save_seconds()) + " until one is measured";
}

}  // namespace trireme::launch
