// When a job will be ended from outside, and when a run must therefore end itself: by --time-limit, which counts from
// the start of this process, or by Slurm's limit of the job. Pure arithmetic on seconds of the steady clock, but for
// find_time_limit, which asks the environment. It saves nothing.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <string>
#include <string_view>

namespace trireme::launch {

/// No job lasts that long: ten years. Beyond it dates and whole numbers of seconds overflow.
inline constexpr double kMostSeconds = 3650 * 86400.0;

/// Seconds of "90", "90s", "30m", "12h", "2d", "MM:SS" or "[D-]HH:MM:SS" (as Slurm writes it). Nothing for other text,
/// for negative times and those beyond kMostSeconds.
std::optional<double> parse_duration(std::string_view text);

/// "40 s", "2m 05s", "2h 07m"
std::string limit_text(double seconds);

/// On std::chrono::steady_clock.
double steady_seconds();

struct TimeLimit {
  double end_seconds = 0;  ///< by steady_seconds()
  std::string name;        ///< "time limit of Slurm job 77"
};

/// The earlier of --time-limit (`asked_seconds`) and the limit of the Slurm job, where there is one:
/// SLURM_JOB_END_TIME, or else what squeue says of SLURM_JOB_ID, for which it has 5 s. Of rank 0, once.
std::optional<TimeLimit> find_time_limit(std::optional<double> asked_seconds);

/// Before the first save is measured: the bytes of the rank that writes most at 100 MB/s, and a second.
double estimated_save_seconds(int64_t bytes);

/// What is left of a limit, beside what the latest steps and saves were measured to take.
class TimeBudget {
 public:
  TimeBudget(TimeLimit limit, double estimated_save_seconds)
      : limit_(std::move(limit)), estimated_save_seconds_(estimated_save_seconds) {}

  void begin_step(double now_seconds) { step_began_ = now_seconds; }
  void end_step(double now_seconds);
  void add_save(double seconds);

  /// Whether what is left no longer holds two more of the longest recent steps, the one that is being made included,
  /// and `saves` saves, with half as much again for a slower disk, and kLeaveSeconds.
  bool must_stop(double now_seconds, int saves) const;
  /// Whether a save may end in time. An estimate is no reason to give up a step: only measured ones say no.
  bool may_save(double now_seconds) const;
  /// "time limit of Slurm job 77: 40 s left, a save takes 12 s"
  std::string text(double now_seconds) const;
  /// For people, at the start: "ends by itself before 14:32:10: time limit of 30m 00s (--time-limit)", and the
  /// estimate.
  std::string start_text(double now_seconds) const;

 private:
  static constexpr size_t kRecent = 16;
  static constexpr double kLeaveSeconds = 3;  ///< MPI's end, and mpirun's, which takes two

  double left(double now_seconds) const;
  double save_seconds() const;
  static void add(std::deque<double>& recent, double seconds);

  TimeLimit limit_;
  double estimated_save_seconds_;
  std::optional<double> step_began_;  ///< of the step that is being made
  std::deque<double> steps_;          ///< seconds of the last kRecent
  std::deque<double> saves_;
};

}  // namespace trireme::launch
