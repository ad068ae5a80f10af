// The process's open descriptors: macOS has no close_range.
#pragma once

#include <span>

namespace vmnet {

// Closes every descriptor from `first` on but those of `kept`. No other thread runs. False: the
// descriptors cannot be listed (errno).
bool close_descriptors_but(int first, std::span<const int> kept);

}  // namespace vmnet
