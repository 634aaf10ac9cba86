#include "runtime/program_start.h"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <system_error>

#include "runtime/blas_core.h"

namespace trireme::runtime {
namespace {

constexpr const char* kMarker = "TRIREME_RESTARTED";

/// Sets what is missing; false when nothing is.
bool complete_environment() {
  bool changed = false;
  if (std::getenv("GOMP_SPINCOUNT") == nullptr && std::getenv("OMP_WAIT_POLICY") == nullptr) {
    setenv("GOMP_SPINCOUNT", "1000", 1);
    changed = true;
  }
  if (const auto core = wanted_blas_core()) {
    setenv("OPENBLAS_CORETYPE", std::string(*core).c_str(), 1);
    changed = true;
  }
  return changed;
}

}  // namespace

void restart_with_library_settings(char** argv) {
  if (std::getenv(kMarker) != nullptr) {
    unsetenv(kMarker);  // a program that this one starts decides for itself
    return;
  }
  if (!complete_environment()) return;
  setenv(kMarker, "1", 1);
  std::error_code error;
  const std::string program = std::filesystem::read_symlink("/proc/self/exe", error).string();
  if (!error) execv(program.c_str(), argv);  // by its own name, so that `top` does not call it "exe"
  execv("/proc/self/exe", argv);
  unsetenv(kMarker);
}

}  // namespace trireme::runtime
