// Runs the built program as a child process, alone or under mpirun, and gives back all that a user would see. The child
// has a process group of its own, which is killed when the time is up: a hang becomes a failure, not a stuck suite.
#pragma once

#include <map>
#include <string>
#include <vector>

namespace trireme::tests {

struct ProgramResult {
  int exit_code = -1;  ///< 128 + signal when it was killed
  bool timed_out = false;
  std::string output;  ///< standard output
  std::string error;   ///< standard error
};

struct ProgramSettings {
  std::string program = {};                        ///< empty: build/<preset>/bin/trireme
  std::map<std::string, std::string> environment;  ///< added to this process's own
  std::string directory;                           ///< working directory; empty: this process's own
  double timeout_seconds = 60;
};

/// build/<preset>/bin/trireme WORDS...
ProgramResult run_trireme(const std::vector<std::string>& words, const ProgramSettings& settings = {});

/// mpirun -n RANKS trireme WORDS..., on this machine, cores shared; OMP_NUM_THREADS is 1 unless the settings say more.
ProgramResult run_trireme_ranks(int ranks, const std::vector<std::string>& words, const ProgramSettings& settings = {});

/// mpirun trireme WORDS... : trireme WORDS..., rank by rank with words of its own.
ProgramResult run_trireme_different_ranks(const std::vector<std::vector<std::string>>& words_of_ranks,
                                          const ProgramSettings& settings = {});

/// Any command; the first word is looked up in PATH.
ProgramResult run_command(const std::vector<std::string>& words, const ProgramSettings& settings = {});

}  // namespace trireme::tests
