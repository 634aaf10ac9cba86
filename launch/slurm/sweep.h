// Options of train as the words of a command line, and files of such words, a line for each task of an array.
#pragma once

#include <string>
#include <vector>

#include "launch/options.h"

namespace trireme::launch {

/// Those that differ from their defaults, but --run: what was given, on the command line or in a file. `options` have
/// not been through check(), which fills in values that depend on others.
std::vector<std::string> command_words(TrainOptions options);

struct SweepTask {
  std::vector<std::string> words;  ///< of its line
  TrainOptions options;            ///< checked
  std::string place;               ///< "FILE:LINE", for what is found wrong with it later
};

/// Empty lines and those that begin with # are left out. Throws Error(usage) naming file and line for what train would
/// refuse, and for what belongs to the job or is the job's to choose: --run, --resume, --threads, --device, --config.
std::vector<SweepTask> read_sweep(const std::string& path, const TrainOptions& all);

}  // namespace trireme::launch
