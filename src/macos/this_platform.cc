#include "platform/this_platform.h"

namespace vmnet {

Platform this_platform() { return Platform::kMacos; }

}  // namespace vmnet
