#include "runtime/error.h"

#include <system_error>

namespace trireme::runtime {

Error::Error(ErrorKind kind, const std::string& message, std::source_location where)
    : std::runtime_error(message),
      kind_(kind),
      where_(std::string(where.file_name()) + ":" + std::to_string(where.line())) {}

std::string system_message(int error_number) {
  return std::generic_category().message(error_number);
}

}  // namespace trireme::runtime
