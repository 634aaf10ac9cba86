// Where calibrations come from: a file that `bench --calibrate` wrote, or a profile that ships with the program.
#pragma once

#include <string>
#include <vector>

#include "runtime/calibration.h"
#include "runtime/files.h"

namespace trireme::launch {

/// Names of shipped profiles: "h100", "h200".
std::vector<std::string> profile_names();

/// --`option` `value`: a shipped profile by its name, else a file (one of such a name is given as ./NAME). Throws
/// Error(usage) naming the option, the file and the mend.
runtime::Calibration find_calibration(runtime::Files& files, const std::string& option, const std::string& value);

/// Whether `value` names a shipped profile: it is there without a file.
bool is_profile(const std::string& value);

}  // namespace trireme::launch
