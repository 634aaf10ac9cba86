// What `verify` prints: steps, the worst of each check with its bound, and pass or fail with the first offender.
#pragma once

#include <string>

#include "launch/verification.h"

namespace trireme::launch {

std::string verify_report(const Verification& verification);

}  // namespace trireme::launch
