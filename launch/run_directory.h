// RUN/config.json and RUN/log.jsonl. One rank of a run opens it; checkpoints/ is the business of `checkpoint`.
#pragma once

#include <boost/json/object.hpp>
#include <cstdint>
#include <optional>
#include <string>

#include "launch/option_parser.h"
#include "launch/step_record.h"
#include "runtime/files.h"

namespace trireme::launch {

/// The options of a table with their values now, numbers as numbers: the "options" of config.json.
boost::json::object options_json(const OptionTable& table);

/// The object of a log line.
boost::json::object step_json(const StepRecord& record);

/// An append-only file of one JSON object a line; every line is handed to the system at once.
class RunLog {
 public:
  /// Keeps the lines of steps up to `last_step`, drops later ones and what a crash left half-written; 0 begins anew.
  RunLog(runtime::Files& files, std::string path, int64_t last_step);
  ~RunLog();
  RunLog(RunLog&& other) noexcept;
  RunLog& operator=(RunLog&&) = delete;

  /// Throws Error(io) naming the file, on a full disk for example.
  void append(const boost::json::object& line);
  void append(const StepRecord& record) { append(step_json(record)); }

 private:
  std::string path_;
  int descriptor_ = -1;
};

class RunDirectory {
 public:
  /// Creates the directory. Throws Error(io) naming --run when it cannot be made or written.
  RunDirectory(runtime::Files& files, std::string path);

  const std::string& path() const { return path_; }
  std::string checkpoints_path() const { return path_ + "/checkpoints"; }

  /// Replaces an older one in one step.
  void write_config(const boost::json::object& config);
  /// Nothing when there is none; Error(data) naming the file when it is not JSON.
  std::optional<boost::json::object> read_config() const;
  /// Whether there is a log with something in it.
  bool has_log() const;
  /// Copies the log to the first free log-aside-N.jsonl; returns that path.
  std::string set_log_aside();
  /// The log of a run that goes on after `last_step`, or begins (0).
  RunLog open_log(int64_t last_step) const { return RunLog(files_, path_ + "/log.jsonl", last_step); }

 private:
  runtime::Files& files_;
  std::string path_;
};

}  // namespace trireme::launch
