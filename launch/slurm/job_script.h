// A job for Slurm as the text of a script: launch/slurm/job.sh, which is compiled in, with its settings filled in by
// their names. It knows how a shell and Slurm read them, not what the options mean.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace trireme::launch {

struct JobScript {
  std::string job_name;
  int64_t nodes = 1;
  int64_t ranks_per_node = 1;
  int64_t threads = 1;       ///< cores of a rank
  int64_t memory_bytes = 0;  ///< of a node
  std::string time;
  int warning_seconds = 120;  ///< before the end of it
  std::string partition;      ///< empty: none is named, as with the four below
  std::string account;
  int64_t gpus_per_node = 0;
  std::string after;
  std::vector<std::vector<std::string>> tasks;  ///< further options of each task of an array, from task 1
  std::string launcher;
  int64_t most_idle_starts = 1;
  std::string program;
  std::string run;
  std::vector<std::string> options;  ///< of train, without --run
};

/// job.sh as it is.
std::string_view job_text();

std::string fill_in(const JobScript& job);

/// As a shell reads it as one word that means itself.
std::string shell_word(const std::string& word);

}  // namespace trireme::launch
