// The options of a bench: "--name value" pairs with defaults, all of them required to be known.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "runtime/error.h"

namespace trireme::model {

class BenchOptions {
 public:
  using Values = std::map<std::string, std::string>;

  /// Throws Error(usage), as the others do, in one line that begins with the program's name.
  BenchOptions(std::string program, Values defaults, int argc, char** argv);

  const std::string& text(const std::string& name) const { return values_.at(name); }
  int64_t number(const std::string& name, int64_t least = 1) const;

  template <typename Value>
  Value choice(const std::string& name, const std::map<std::string, Value>& choices) const {
    const auto found = choices.find(text(name));
    if (found != choices.end()) return found->second;
    std::string known;
    for (const auto& [word, value] : choices) known += " " + word;
    throw wrong(name + " is one of" + known + ", not " + text(name));
  }

  runtime::Error wrong(const std::string& what) const;

 private:
  std::string program_;
  Values values_;
};

}  // namespace trireme::model
