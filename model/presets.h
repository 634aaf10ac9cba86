// The files of model/presets/, compiled in, so that the program needs no data directory.
#pragma once

#include <string_view>
#include <vector>

namespace trireme::model {

struct PresetText {
  std::string_view name;  ///< "gpt2-124m"
  std::string_view json;
};

const std::vector<PresetText>& preset_texts();

}  // namespace trireme::model
