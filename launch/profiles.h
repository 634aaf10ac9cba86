// The files of launch/profiles/, compiled in: machines whose figures were published, not measured here.
#pragma once

#include <string_view>
#include <vector>

namespace trireme::launch {

struct ProfileText {
  std::string_view name;  ///< "h100"
  std::string_view json;  ///< a calibration, as runtime/calibration.h has it
};

const std::vector<ProfileText>& profile_texts();

}  // namespace trireme::launch
