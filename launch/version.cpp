#include "launch/version.h"

namespace trireme::launch {

std::string version() {
  return TRIREME_VERSION;
}

std::string commit() {
  return TRIREME_COMMIT;
}

}  // namespace trireme::launch
