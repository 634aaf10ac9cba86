// The name of this machine, by which ranks and people tell hosts apart.
#pragma once

#include <string>

namespace trireme::runtime {

/// One word; "unnamed-host" where the system does not tell.
std::string host_name();

}  // namespace trireme::runtime
