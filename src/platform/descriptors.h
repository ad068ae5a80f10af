// What POSIX leaves open about descriptors: one header, a body per platform.
#pragma once

#include <span>

#include "base/result.h"
#include "base/unique_fd.h"

namespace vmnet {

// Closes every descriptor from `first` on but those of `kept` (-1: none). No other thread runs.
Status close_descriptors_but(int first, std::span<const int> kept);

// A folder, to resolve names in, which must be searchable (on macOS: readable too); invalid, and
// errno set, where it cannot be had.
UniqueFd open_folder(int directory, const char* path);

// The working directory, to return to or to resolve paths against; invalid where it cannot be had.
// On macOS it must be readable for that.
UniqueFd hold_working_directory();

}  // namespace vmnet
