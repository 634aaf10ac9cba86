#include "tests/launch/program.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <stdexcept>
#include <thread>

namespace trireme::tests {
namespace {

using Clock = std::chrono::steady_clock;

struct Pipe {
  int read_end = -1;
  int write_end = -1;
  Pipe() {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC) != 0) throw std::runtime_error("pipe2 failed");
    read_end = ends[0];
    write_end = ends[1];
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close(read_end);
    close_write_end();
  }
  void close_write_end() {
    if (write_end >= 0) close(write_end);
    write_end = -1;
  }
};

/// Only async-signal-safe calls between fork and exec: the parent may have threads.
[[noreturn]] void become(char* const* argv, char* const* envp, const char* directory, int out, int err) {
  setpgid(0, 0);
  const int nothing = open("/dev/null", O_RDONLY);
  dup2(nothing, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  if (*directory != '\0' && chdir(directory) != 0) _exit(126);
  execvpe(argv[0], argv, envp);
  _exit(127);
}

std::vector<std::string> merged_environment(const std::map<std::string, std::string>& extra) {
  std::vector<std::string> merged;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const std::string text = *entry;
    if (!extra.contains(text.substr(0, text.find('=')))) merged.push_back(text);
  }
  for (const auto& [name, value] : extra) merged.push_back(name + "=" + value);
  return merged;
}

std::vector<char*> pointers(std::vector<std::string>& words) {
  std::vector<char*> result;
  for (std::string& word : words) result.push_back(word.data());
  result.push_back(nullptr);
  return result;
}

/// Reads both ends until they are closed or the time is up; false when it is.
bool drain(Pipe& out, Pipe& err, ProgramResult& result, Clock::time_point deadline) {
  std::array<pollfd, 2> ends{{{out.read_end, POLLIN, 0}, {err.read_end, POLLIN, 0}}};
  std::array<std::string*, 2> texts{&result.output, &result.error};
  while (ends[0].fd >= 0 || ends[1].fd >= 0) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now()).count();
    if (left <= 0) return false;
    if (poll(ends.data(), ends.size(), static_cast<int>(left)) < 0 && errno != EINTR) return false;
    for (size_t i = 0; i < ends.size(); ++i) {
      if (ends[i].fd < 0 || ends[i].revents == 0) continue;
      char buffer[65536];
      const ssize_t count = read(ends[i].fd, buffer, sizeof buffer);
      if (count > 0) texts[i]->append(buffer, static_cast<size_t>(count));
      if (count == 0) ends[i].fd = -1;
    }
  }
  return true;
}

/// Waits for the child to end by itself until the deadline; false when it did not.
bool reap(pid_t child, int& status, Clock::time_point deadline) {
  while (waitpid(child, &status, WNOHANG) == 0) {
    if (Clock::now() >= deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

std::string program_of(const ProgramSettings& settings) {
  return settings.program.empty() ? TRIREME_PROGRAM : settings.program;
}

const std::vector<std::string> kLauncher{"mpirun", "--oversubscribe", "--bind-to", "none"};

/// A container's user is often root; ob1 and vader spare the search for network hardware (0.2 s a start).
ProgramSettings with_mpi(ProgramSettings settings) {
  settings.environment.insert({{"OMPI_ALLOW_RUN_AS_ROOT", "1"},
                               {"OMPI_ALLOW_RUN_AS_ROOT_CONFIRM", "1"},
                               {"OMPI_MCA_pml", "ob1"},
                               {"OMPI_MCA_btl", "self,vader"},
                               {"OMP_NUM_THREADS", "1"}});
  return settings;
}

}  // namespace

ProgramResult run_command(const std::vector<std::string>& words, const ProgramSettings& settings) {
  std::vector<std::string> arguments = words;
  std::vector<std::string> environment = merged_environment(settings.environment);
  const std::vector<char*> argv = pointers(arguments);
  const std::vector<char*> envp = pointers(environment);
  Pipe out;
  Pipe err;
  const pid_t child = fork();
  if (child < 0) throw std::runtime_error("fork failed");
  if (child == 0) become(argv.data(), envp.data(), settings.directory.c_str(), out.write_end, err.write_end);
  setpgid(child, child);  // here too, so that the group exists whoever comes first
  out.close_write_end();
  err.close_write_end();

  ProgramResult result;
  const auto timeout =
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(settings.timeout_seconds));
  const auto deadline = Clock::now() + timeout;
  int status = 0;
  if (!drain(out, err, result, deadline) || !reap(child, status, deadline)) {
    result.timed_out = true;
    kill(-child, SIGKILL);
    waitpid(child, &status, 0);
  }
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

ProgramResult run_trireme(const std::vector<std::string>& words, const ProgramSettings& settings) {
  std::vector<std::string> all{program_of(settings)};
  all.insert(all.end(), words.begin(), words.end());
  return run_command(all, settings);
}

ProgramResult run_trireme_ranks(int ranks, const std::vector<std::string>& words, const ProgramSettings& settings) {
  std::vector<std::string> all = kLauncher;
  all.insert(all.end(), {"-n", std::to_string(ranks), program_of(settings)});
  all.insert(all.end(), words.begin(), words.end());
  return run_command(all, with_mpi(settings));
}

ProgramResult run_trireme_different_ranks(const std::vector<std::vector<std::string>>& words_of_ranks,
                                          const ProgramSettings& settings) {
  std::vector<std::string> all = kLauncher;
  for (const std::vector<std::string>& words : words_of_ranks) {
    if (all.size() > kLauncher.size()) all.emplace_back(":");
    all.insert(all.end(), {"-n", "1", program_of(settings)});
    all.insert(all.end(), words.begin(), words.end());
  }
  return run_command(all, with_mpi(settings));
}

}  // namespace trireme::tests
