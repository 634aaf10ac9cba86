#include "launch/calibration_source.h"

#include <algorithm>

#include "launch/profiles.h"

namespace trireme::launch {

std::vector<std::string> profile_names() {
  std::vector<std::string> names;
  for (const ProfileText& profile : profile_texts()) names.emplace_back(profile.name);
  return names;
}

bool is_profile(const std::string& value) {
  return std::ranges::find(profile_texts(), value, &ProfileText::name) != profile_texts().end();
}

runtime::Calibration find_calibration(runtime::Files& files, const std::string& option, const std::string& value) {
  const auto profile = std::ranges::find(profile_texts(), value, &ProfileText::name);
  if (profile == profile_texts().end()) return runtime::read_calibration(files, option, value);
  return runtime::parse_calibration("--" + option + " " + value, std::string(profile->json));
}

}  // namespace trireme::launch
