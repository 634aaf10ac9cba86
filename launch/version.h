// Which program this is: the version of CMakeLists.txt and the commit it was configured at.
#pragma once

#include <string>

namespace trireme::launch {

/// "0.1.0"
std::string version();
/// Short hash, or "unknown" outside of a git checkout.
std::string commit();

}  // namespace trireme::launch
