#include "bench/model/bench_options.h"

#include <cstdlib>
#include <utility>

namespace trireme::model {

using runtime::Error;
using runtime::ErrorKind;

BenchOptions::BenchOptions(std::string program, Values defaults, int argc, char** argv)
    : program_(std::move(program)), values_(std::move(defaults)) {
  for (int i = 1; i < argc; i += 2) {
    const auto found = values_.find(argv[i]);
    if (found == values_.end() || i + 1 == argc) throw wrong(std::string(argv[i]) + " is not an option with a value");
    found->second = argv[i + 1];
  }
}

int64_t BenchOptions::number(const std::string& name, int64_t least) const {
  const std::string& digits = text(name);
  const bool is_number = !digits.empty() && digits.find_first_not_of("0123456789") == std::string::npos;
  const int64_t value = is_number ? std::atoll(digits.c_str()) : -1;
  if (value < least) throw wrong(name + " is " + digits + ", expected " + std::to_string(least) + " or more");
  return value;
}

Error BenchOptions::wrong(const std::string& what) const {
  return {ErrorKind::usage, program_ + ": " + what};
}

}  // namespace trireme::model
