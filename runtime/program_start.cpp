#include "runtime/program_start.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <sstream>
#include <string>
#include <system_error>
#include <vector>

#include "runtime/blas_core.h"

namespace trireme::runtime {
namespace {

constexpr const char* kMarker = "TRIREME_RESTARTED";
std::vector<std::string> own_settings;

/// Sets what is missing; the names of that, each after a blank.
std::string complete_environment() {
  std::string names;
  if (std::getenv("GOMP_SPINCOUNT") == nullptr && std::getenv("OMP_WAIT_POLICY") == nullptr) {
    setenv("GOMP_SPINCOUNT", "1000", 1);
    names += " GOMP_SPINCOUNT";
  }
  if (const auto core = wanted_blas_core()) {
    setenv("OPENBLAS_CORETYPE", std::string(*core).c_str(), 1);
    names += " OPENBLAS_CORETYPE";
  }
  return names;
}

}  // namespace

void restart_with_library_settings(char** argv) {
  if (const char* names = std::getenv(kMarker)) {
    std::istringstream words(names);
    for (std::string name; words >> name;) own_settings.push_back(name);
    unsetenv(kMarker);  // a program that this one starts decides for itself
    return;
  }
  const std::string names = complete_environment();
  if (names.empty()) return;
  setenv(kMarker, names.c_str(), 1);
  std::error_code error;
  const std::string program = std::filesystem::read_symlink("/proc/self/exe", error).string();
  if (!error) execv(program.c_str(), argv);  // by its own name, so that `top` does not call it "exe"
  execv("/proc/self/exe", argv);
  unsetenv(kMarker);
}

const std::vector<std::string>& own_library_settings() {
  return own_settings;
}

}  // namespace trireme::runtime
