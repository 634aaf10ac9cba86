// The one exception type of the project. An Error carries what kind of thing went wrong (which decides the exit code),
// one line for the user, and the place in the code that noticed. It does not know how it will be printed.
#pragma once

#include <source_location>
#include <stdexcept>
#include <string>

namespace trireme::runtime {

enum class ErrorKind {
  usage,     ///< an option, a command or a combination of them: exit code 2
  data,      ///< a file's content: damaged, of another model
  version,   ///< a file of a format this program does not know; not damage
  io,        ///< the file system or the operating system said no
  peer,      ///< another rank failed or disagrees
  mismatch,  ///< ranks are in different calls: the watchdog finds out who is wrong
  device,    ///< memory or an accelerator
  internal,  ///< shapes that do not fit and other faults of ours
};

class Error : public std::runtime_error {
 public:
  Error(ErrorKind kind, const std::string& message, std::source_location where = std::source_location::current());

  ErrorKind kind() const { return kind_; }
  /// "runtime/arena.cpp:42", for logs.
  const std::string& where() const { return where_; }

 private:
  ErrorKind kind_;
  std::string where_;
};

/// "No such file or directory" for an errno value.
std::string system_message(int error_number);

}  // namespace trireme::runtime
