// RUN/config.json and RUN/log.jsonl. One rank of a run opens it; checkpoints/ is the business of `checkpoint`. What is
// written in the name of an attempt is fenced as steps are (checkpoint/attempt.h): a replaced one changes neither file.
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

/// A file of one JSON object a line; every line is handed to the system at once. Only the last one can be replaced.
class RunLog {
 public:
  /// Keeps the lines of steps up to `last_step`, drops later ones and what a crash left half-written; 0 begins anew.
  /// The file is always a new one: an older start that still has the log open writes into one that has no name.
  RunLog(runtime::Files& files, std::string path, int64_t last_step, int64_t attempt = 0);
  ~RunLog();
  RunLog(RunLog&& other) noexcept;
  RunLog& operator=(RunLog&&) = delete;

  /// Throws Error(io) naming the file, on a full disk for example.
  void append(const boost::json::object& line);
  void append(const StepRecord& record) { append(step_json(record)); }
  /// As append, but in place of the last line where that is of the same step; the whole file is written anew then.
  void put(const boost::json::object& line);

 private:
  void open();

  runtime::Files* files_;
  std::string path_;
  int64_t attempt_;
  int descriptor_ = -1;
};

class RunDirectory {
 public:
  /// Creates the directory. Throws Error(io) naming --run when it cannot be made or written. With an attempt (0: none,
  /// nothing is fenced) what replaces a file throws Error(peer) once that attempt was replaced.
  RunDirectory(runtime::Files& files, std::string path, int64_t attempt = 0);

  const std::string& path() const { return path_; }
  std::string checkpoints_path() const { return path_ + "/checkpoints"; }

  /// Removes what older attempts were writing, so that none of it can take the place of a file any more. To be called
  /// after the claim and before anything is read.
  void sweep();
  /// Replaces an older one in one step.
  void write_config(const boost::json::object& config);
  /// Nothing when there is none; Error(data) naming the file when it is not JSON.
  std::optional<boost::json::object> read_config() const;
  /// Whether there is a log with something in it.
  bool has_log() const;
  /// Its last line; nothing when there is none, or none that is whole.
  std::optional<boost::json::object> last_logged() const;
  /// Copies the log to the first free log-aside-N.jsonl; returns that path.
  std::string set_log_aside();
  /// The log of a run that goes on after `last_step`, or begins (0).
  RunLog open_log(int64_t last_step) const { return RunLog(files_, path_ + "/log.jsonl", last_step, attempt_); }

 private:
  runtime::Files& files_;
  std::string path_;
  int64_t attempt_;
};

}  // namespace trireme::launch
